"""Facts about a machine, out of what Linux and nvidia-smi say."""

from __future__ import annotations

from dataclasses import replace

from pixelis import machine
from pixelis.machine import Machine, this_machine, without_instructions

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni avx512_bf16

processor\t: 1
model name\t: Other
flags\t\t: fpu
"""
PLAIN = Machine("Plain", frozenset({"sse2"}), 2, 4096, (), ())


def test_the_first_processor_of_cpuinfo_is_read() -> None:
    name, features = machine._cpu(CPUINFO)
    assert name == "Some CPU @ 2.00GHz"
    assert {"avx2", "avx512_bf16"} <= features
    found = replace(PLAIN, cpu=name, features=features)
    assert found.vector == ("avx512_bf16", "avx512_vnni", "avx512f", "avx2")
    assert "fpu" not in found.code
    assert {"fma", "avx512f", "sse2"} <= found.code


def test_nvidia_smi_s_table_is_read_and_a_broken_line_is_left_out() -> None:
    gpus = machine._parse_gpus("NVIDIA L4, 8.9, 23034, 550.54\n[Not Found], x\n")
    assert [str(gpu) for gpu in gpus] == ["NVIDIA L4 (SM89, 23034 MiB, driver 550.54)"]


def test_a_precision_without_instructions_says_which_ones_it_would_need() -> None:
    assert without_instructions(PLAIN)["bf16"] == "this CPU has no bf16 arithmetic (avx512_bf16, amx_bf16, bf16)"
    modern = replace(PLAIN, features=frozenset({"avx512_bf16", "avx512_vnni", "avx512_fp16"}))
    assert without_instructions(modern) == {}


def test_this_machine_is_looked_up_once_and_tells_of_itself() -> None:
    found = this_machine()
    assert found is this_machine()
    assert found.cores >= 1
    assert found.memory_mib > 256
    assert found.cpu in str(found)
    assert dict(found.packages)["onnxruntime"]
