# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Run functions of a component: run.py COMPONENT FUNCTION=ARGUMENT…. Prints what each returns."""
import sys

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker

engine = Engine()
store = Store(engine)
instance = Linker(engine).instantiate(store, Component.from_file(engine, sys.argv[1]))
for call in sys.argv[2:]:
    name, _, argument = call.partition("=")
    function = instance.get_func(store, name)
    print(function(store, int(argument) if argument.isdigit() else argument))
    function.post_return(store)
