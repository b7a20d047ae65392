"""Too little memory, told from other errors, and work in smaller parts."""

import pytest
import torch

from headstart import HeadstartError
from headstart.compute import memory
from headstart.compute.memory import Parts


def asked_of_torch() -> None:
    torch.empty(1 << 48)


def asked_of_python() -> None:
    bytearray(1 << 60)


def of_the_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def of_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def of_onednn() -> None:
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize("ask", [asked_of_torch, asked_of_python, of_the_gpu, of_cublas, of_onednn])
def test_every_library_says_it_in_its_own_way(ask):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        ask()
    assert memory.ran_out(caught.value)


def test_other_errors_are_not_taken_for_it():
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2, 3) @ torch.zeros(2, 3)
    assert not memory.ran_out(caught.value)
    descriptor = "could not create a primitive descriptor for a convolution"
    assert not memory.ran_out(RuntimeError(descriptor))
    assert not memory.ran_out(ValueError("allocate memory"))


@pytest.mark.parametrize(
    ("room", "least", "sizes"),
    [
        (99, 1, {32: 32, 7: 7}),
        (20, 1, {32: 16, 7: 7}),
        (2, 2, {32: 2, 7: 2}),
    ],
)
def test_parts_are_halved_until_they_fit_and_stay_so(cpu, room, least, sizes):
    parts, tried, undone = Parts(cpu, least=least), [], []

    def attempt(count: int) -> list[int]:
        made = [len(part) for part in torch.arange(examples).tensor_split(count)]
        tried.append(max(made))
        torch.empty(1 << 48 if max(made) > room else 1)
        return made

    for examples, largest in sizes.items():
        made = parts.work(examples, attempt, lambda: undone.append(len(tried)))
        assert sum(made) == examples and max(made) == largest
        assert max(made) - min(made) <= 1
    assert len(undone) == len(tried) - len(sizes) and parts.most in (None, 16, 2)


def test_below_the_least_a_line_says_what_to_do(cpu):
    with pytest.raises(
        HeadstartError, match="out of memory with 2 images at once on test CPU: low"
    ):
        Parts(cpu, least=2).work(8, lambda _: asked_of_torch(), lambda: None)
