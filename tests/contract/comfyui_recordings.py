"""Sessions recorded at a real ComfyUI server, played to the adapter."""

from collections.abc import Awaitable, Callable

import pytest

from services.gateways.kit.provider import (
    AttemptStatus,
    Completed,
    Failed,
    InProgress,
    OutcomeUnknown,
    Rejected,
    StatusUnavailable,
)
from tests.contract.recording import Recording
from tests.fakes.adapters import lookup_of

Scenario = Callable[[Recording], Awaitable[None]]

LOST = Failed("lost", "neither in the queue nor in the history", retryable=True, billed="no")
INTERRUPTED = Failed("cancelled", "interrupted at the server", retryable=False, billed="yes")
RUNS = InProgress("running")
REJECTIONS = {
    "unknown_class": "Node 'NopeNode' not found. The custom node may not be installed.: Node ID '#1'",
    "missing_class_type": "Node 'ID #1' has no class_type. The workflow may be corrupted or a custom node "
    "is missing.: Node ID '#1'",
    "no_output_node": "Prompt has no outputs",
    "empty_prompt": "Prompt has no outputs",
    "required_input_missing": "node 2 (SaveImage): Required input is missing: images",
    "value_not_in_list": "node 2 (ImageScale): Value not in list: upscale_method: 'magic' not in "
    "['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos']",
    "value_too_big": "node 1 (EmptyImage): Value 1000000000 bigger than max of 16384: width",
    "value_too_small": "node 1 (EmptyImage): Value 0 smaller than min of 1: width",
    "wrong_scalar_type": "node 1 (EmptyImage): Failed to convert an input value to a INT value: width, abc, "
    "invalid literal for int() with base 10: 'abc'",
    "link_to_missing_node": "node 2 (SaveImage): Exception when validating node: '99'",
    "link_type_mismatch": "node 2 (SaveImage): Return type mismatch between linked nodes: images, "
    "received_type(LATENT) mismatch input_type(IMAGE)",
    "bad_link_shape": "node 2 (SaveImage): Bad linked input, must be a length-2 list of [node_id, "
    "slot_index]: images",
    "cycle": "node 2 (ImageInvert): Dependency cycle detected: 2 (ImageInvert) -> 1 (ImageInvert) -> "
    "2 (ImageInvert)",
    "loadimage_missing_file": "node 1 (LoadImage): Custom validation failed for node: image - Invalid image "
    "file: nope.png",
    "checkpoint_missing": "node 1 (CheckpointLoaderSimple): Value not in list: ckpt_name: "
    "'nope.safetensors' not in []",
    "no prompt key": "No prompt provided",
    "json list": "No prompt provided",
}
REJECTED = "invalid_workflow: the server refused the workflow"
NEVER_REQUESTED: dict[str, set[str]] = {}
"""Recorded answers to requests that the adapter never makes."""
NO_UUID = (
    "prompt_id must be a valid UUID: prompt_id must be a UUID string in canonical lowercase hyphenated form; "
    "omit it to let the server generate one"
)


def file(status: AttemptStatus) -> str:
    """Return the path of the one output of a success."""
    assert isinstance(status, Completed), status
    [output] = status.outputs
    assert output.path is not None
    return output.path


async def success(recording: Recording) -> None:
    """A repeated graph is answered from the cache, with the same file."""
    for prompt_id, name in (
        ("c412", "lab_00001_.png"),
        ("4bd4", "lab_00001_.png"),
        ("4dae", "other_00001_.png"),
    ):
        request, ref = await recording.submit()
        assert ref["id"] == request.idempotency_key == recording.request(prompt_id).idempotency_key
        assert file(await recording.poll(prompt_id)) == f"/view?filename={name}&subfolder=&type=output"
    view = next(each for each in recording.exchanges if each["request"]["path"] == "/view")
    assert view["request"]["params"] == {"filename": "lab_00001_.png", "subfolder": "", "type": "output"}
    assert (view["status"], view["headers"]["content-type"]) == (200, "image/png")


async def validation_errors(recording: Recording) -> None:
    rejected: dict[str, str] = {}
    for _ in range(sum(each["request"]["path"] == "/prompt" for each in recording.exchanges)):
        note = recording.next_submission["note"]
        try:
            _, ref = await recording.submit()
        except Rejected as rejection:
            rejected[note] = f"{rejection.code}: {rejection.message}"
        except OutcomeUnknown as unknown:
            rejected[note] = f"unknown: {unknown}"
        else:
            if note == "one_good_one_bad_output":
                status = await recording.poll("49e1", rejected=ref["rejected"])  # the history shows a success
                assert isinstance(status, Failed)
                rejected[note] = f"{status.code}: {status.message} (billed {status.billed})"
            else:
                assert note == "numeric_string_coerced"
                assert file(await recording.poll("2988")).startswith("/view?filename=coerced")
    for note, words in REJECTIONS.items():
        assert rejected.pop(note) == f"{REJECTED}: {words}"
    assert rejected.pop("one_good_one_bad_output") == (
        f"{REJECTED}: node 3 (SaveImage): Required input is missing: filename_prefix (billed yes)"
    )
    for note in ("not json", "prompt is UI-format workflow"):
        assert rejected.pop(note) == f"{REJECTED}: the server cannot read it"
    assert rejected.pop("prompt_id=None") == (
        "unknown: submit answered for prompt '5d8b4ab8-b0d5-430a-bad3-331c74ac94c3'"
    )
    assert set(rejected.values()) == {f"{REJECTED}: {NO_UUID}"}, rejected


async def execution_error(recording: Recording) -> None:
    """An error fails the prompt even if another branch saved an image before."""
    for prompt_id in ("956e", "807e"):
        await recording.submit()
        status = await recording.poll(prompt_id)
        assert isinstance(status, Failed)
        assert (status.code, status.retryable, status.billed) == ("provider_error", False, "yes")
        assert status.message.startswith("LabFail: RuntimeError: ")
        assert "/" not in status.message, "users never see paths of the server"


async def cancel_queued(recording: Recording) -> None:
    """A runs; B is deleted as at an old server, D by the newer call."""
    for _ in "ABD":
        await recording.submit()
    assert await recording.poll("c26a") == RUNS
    assert await recording.poll("0d40") == InProgress("queued", queue_position=0)
    assert await recording.poll("6f61") == InProgress("queued", queue_position=1)
    recording.is_old_server = True
    await recording.cancel("0d40")
    await recording.cancel("0d40")
    await recording.cancel("c26a")
    recording.skip_past("delete running A (no effect)")
    assert await recording.poll("c26a") == RUNS, "a delete does not stop a running prompt"
    assert await recording.poll("0d40") == LOST
    assert await recording.poll("6f61") == InProgress("queued", queue_position=0)
    recording.is_old_server = False
    await recording.cancel("6f61")
    recording.skip_past("jobs API cancels queued D")
    assert await recording.poll("6f61") == LOST
    assert await recording.poll("c26a") == RUNS
    recording.skip_past("interrupt for an id that is not running")
    assert file(await recording.poll("c26a")).startswith("/view?filename=lab_00003_.png")


async def interrupt_running(recording: Recording) -> None:
    recording.is_old_server = True
    await recording.submit()
    await recording.cancel("b2a1")
    assert await recording.poll("b2a1") == INTERRUPTED
    recording.is_old_server = False
    await recording.submit()  # another client interrupts the running prompt
    await recording.submit()
    await recording.cancel("5537")
    assert await recording.poll("5537") == INTERRUPTED
    await recording.cancel("5537")
    await recording.cancel("af10")
    await recording.submit()
    assert file(await recording.poll("f241")).startswith("/view?filename=lab_00004_.png")


async def unknown_ids(recording: Recording) -> None:
    assert await lookup_of(recording.provider).find(recording.request("b50b")) is None
    assert await recording.poll("b50b") == LOST
    await recording.cancel("b50b")
    recording.is_old_server = True
    await recording.cancel("b50b")


async def duplicate_prompt_id(recording: Recording) -> None:
    """The server's ids are not unique, so the gateway must never send one twice."""
    await recording.submit()
    assert file(await recording.poll("e3bc")).startswith("/view?filename=dupA_")
    await recording.submit()
    assert file(await recording.poll("e3bc")).startswith("/view?filename=dupB_"), "only the last run is kept"
    for _ in ("blocker", "copy 0", "copy 1"):
        request, _ = await recording.submit()
    assert await lookup_of(recording.provider).find(request) == {"id": request.idempotency_key}
    assert await recording.poll("6421") == RUNS
    assert await recording.poll("2765") == InProgress("queued", queue_position=0), "the first of both"
    recording.is_old_server = True
    await recording.cancel("2765")
    recording.skip_past("one delete call")
    assert await recording.poll("2765") == InProgress("queued", queue_position=0), "the other is still there"
    recording.skip_past("after one delete")
    assert file(await recording.poll("2765")).startswith("/view?filename=dupQ1_")


async def queue_order(recording: Recording) -> None:
    """Lower numbers come first in any listing; another client may clear the queue."""
    for _ in ("blocker", "normal", "front", "first of all"):
        await recording.submit()
    assert await recording.poll("ea7a") == RUNS
    places = [await recording.poll(each) for each in ("8c11", "c33a", "680b")]
    assert places == [InProgress("queued", queue_position=place) for place in (0, 1, 2)]
    recording.skip_past("clear pending")
    assert await recording.poll("ea7a") == RUNS
    assert {await recording.poll(each) for each in ("8c11", "c33a", "680b")} == {LOST}
    recording.skip_past("after clear")
    assert await recording.poll("ea7a") == LOST, "its history entry was deleted"


async def server_restart(recording: Recording) -> None:
    """A restart loses running, queued and finished prompts, and none of them is billed."""
    for _ in ("running", "queued"):
        await recording.submit()
    recording.is_down = True
    with pytest.raises(StatusUnavailable):
        await recording.poll("169a")
    with pytest.raises(StatusUnavailable):
        await lookup_of(recording.provider).find(recording.request("169a"))
    recording.is_down = False
    assert [await recording.poll(each) for each in ("169a", "db63", "8f7c")] == [LOST, LOST, LOST]


SCENARIOS: dict[str, Scenario] = {
    "01_success": success,
    "03_validation_errors": validation_errors,
    "04_execution_error": execution_error,
    "05_cancel_queued": cancel_queued,
    "06_interrupt_running": interrupt_running,
    "07_unknown_ids": unknown_ids,
    "08_duplicate_prompt_id": duplicate_prompt_id,
    "12_queue_order_and_housekeeping": queue_order,
    "19_server_restart": server_restart,
}


async def play(name: str) -> None:
    """Play a recording from its beginning to its end."""
    recording = Recording(f"comfyui/{name}")
    await SCENARIOS[name](recording)
    left = {str(recording.exchanges[at]["note"]) for at in recording.unused}
    assert left == NEVER_REQUESTED.get(name, set()), "some answers for the adapter were not played"
    for request in recording.requests:
        assert (
            request.url.path not in ("/queue", "/interrupt")
            or request.method == "GET"
            or (b'"delete"' in request.content or b'"prompt_id"' in request.content)
        ), "never a global interrupt"
