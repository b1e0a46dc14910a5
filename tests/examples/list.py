#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""List the packages of a namespace, each with its latest version: list.py NAMESPACE."""
import ctypes
import sys

warg = ctypes.CDLL("libwarg.so.0")
text, pointer, size = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t


class Options(ctypes.Structure):
    _fields_ = [("size", size), *((name, text) for name in (
        "url", "registries_dir", "content_dir", "cache_dir", "state_dir", "namespace_map", "ca_file", "proxy",
        "no_proxy", "operator_key", "token", "signing_key")), ("offline", ctypes.c_int),
        ("timeout", ctypes.c_uint), ("progress", pointer), ("user", pointer), ("environment", pointer)]


class Release(ctypes.Structure):
    _fields_ = [("package", text), ("version", text), ("digest", text)]  # and more behind them


EACH = ctypes.CFUNCTYPE(ctypes.c_int, pointer, text)
warg.warg_error_text.restype = text
warg.warg_resolve.argtypes = [pointer, text, text, ctypes.POINTER(ctypes.POINTER(Release))]
warg.warg_each_package.argtypes = [pointer, text, EACH, pointer, pointer]
warg.warg_release_free.argtypes = warg.warg_close.argtypes = [pointer]


def check(verdict):
    if verdict:
        sys.exit("list.py: " + warg.warg_error_text().decode())


options, handle, release, packages = Options(), pointer(), ctypes.POINTER(Release)(), []
options.size = ctypes.sizeof(options)
check(warg.warg_options_from_environment(ctypes.byref(options), None))
check(warg.warg_open(ctypes.byref(options), ctypes.byref(handle)))
warg.warg_options_release(ctypes.byref(options))
each = EACH(lambda user, package: packages.append(package) or 0)
check(warg.warg_each_package(handle, sys.argv[1].encode(), each, None, None))
for package in packages:
    if warg.warg_resolve(handle, package, None, ctypes.byref(release)):
        print("list.py:", warg.warg_error_text().decode(), file=sys.stderr)
        continue
    print(package.decode(), release.contents.version.decode(), release.contents.digest.decode())
    warg.warg_release_free(release)
warg.warg_close(handle)
