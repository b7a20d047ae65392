"""Devices: opened with their precision and threads, and asked for their memory."""

import pytest
import torch

from headstart import HeadstartError
from headstart.compute import devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="about the CPU")
def test_the_cpu_opens_with_its_precision_and_threads():
    before = torch.get_num_threads()
    try:
        device = devices.open_device("fp32", 2)
        assert (device.type, device.precision, torch.get_num_threads()) == ("cpu", "fp32", 2)
        assert device.name and "2 threads" in str(device) and "fp32" in str(device)
        assert devices.open_device("auto", 1).precision in ("fp32", "bf16")
    finally:
        torch.set_num_threads(before)


def test_peak_memory_is_that_of_this_process(cpu):
    assert 50e6 < devices.peak_memory_bytes(cpu) < 100e9


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a GPU that torch cannot use")
def test_an_assigned_gpu_that_cannot_be_used_ends_the_job(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(HeadstartError, match="GPU 1 of .* is assigned to this job, but torch"):
        devices.open_device("auto", 1)
    monkeypatch.setenv("HEADSTART_PRETENDED_GPUS", "1")
    assert devices.open_device("fp32", 1).type == "cpu"
