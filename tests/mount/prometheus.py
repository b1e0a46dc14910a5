# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Prometheus's text format 0.0.4, as strictly as promtool checks it."""
import os
import re

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../man")
SAMPLE = re.compile(r"([a-z][a-z0-9_]*)((?:\{(?:[a-z]+=\"[^\"\\\n]*\",?)+\})?) (\d+)")


def check(text, prefix, page):
    """Return the samples by name and labels. Each metric begins with the prefix, is on the page without it, has one
    HELP and then one TYPE, and behind them all its samples, each once.
    """
    with open(os.path.join(MAN, page)) as file:
        documented = set(re.findall(r"^\.Li (\w+)", file.read(), re.M))
    samples, metrics, lines = {}, set(), text.splitlines()
    assert text.endswith("\n") and lines
    while lines:
        name, help_text = re.fullmatch(r"# HELP (\w+) (\S.*\.)", lines.pop(0)).groups()
        kind = re.fullmatch(rf"# TYPE {name} (counter|gauge)", lines.pop(0))[1]
        assert name.startswith(prefix) and name not in metrics and help_text
        assert name[len(prefix):] in documented, f"{page} does not name {name}"
        assert name.endswith("_total") == (kind == "counter"), name
        metrics.add(name)
        while lines and not lines[0].startswith("#"):
            sample, labels, value = SAMPLE.fullmatch(lines.pop(0)).groups()
            assert sample == name and sample + labels not in samples
            samples[sample + labels] = int(value)
    return samples
