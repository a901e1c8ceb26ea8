"""What the adapter makes of each recorded ComfyUI session."""

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
from tests.contract.recorded import Tape
from tests.fakes.adapters import lookup_of

Story = Callable[[Tape], Awaitable[None]]

LOST = Failed("lost", "neither in the queue nor in the history", retryable=True, billed="no")
INTERRUPTED = Failed("cancelled", "interrupted at the server", retryable=False, billed="yes")
RUNS = InProgress("running")
REFUSALS = {
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
NEVER_ASKED: dict[str, set[str]] = {}
"""Recorded answers that the adapter has no question for."""
NO_UUID = (
    "prompt_id must be a valid UUID: prompt_id must be a UUID string in canonical lowercase hyphenated form; "
    "omit it to let the server generate one"
)


def file(status: AttemptStatus) -> str:
    """The one file of a success."""
    assert isinstance(status, Completed), status
    [output] = status.outputs
    assert output.path is not None
    return output.path


async def success(tape: Tape) -> None:
    """The same graph again is answered from the cache: the same file, which is there all the same."""
    for prompt_id, name in (
        ("c412", "lab_00001_.png"),
        ("4bd4", "lab_00001_.png"),
        ("4dae", "other_00001_.png"),
    ):
        request, ref = await tape.submit()
        assert ref["id"] == request.idempotency_key == tape.request(prompt_id).idempotency_key
        assert file(await tape.poll(prompt_id)) == f"/view?filename={name}&subfolder=&type=output"
    view = next(each for each in tape.exchanges if each["request"]["path"] == "/view")
    assert view["request"]["params"] == {"filename": "lab_00001_.png", "subfolder": "", "type": "output"}
    assert (view["status"], view["headers"]["content-type"]) == (200, "image/png")


async def validation_errors(tape: Tape) -> None:
    refused: dict[str, str] = {}
    for _ in range(sum(each["request"]["path"] == "/prompt" for each in tape.exchanges)):
        note = tape.next_submission["note"]
        try:
            _, ref = await tape.submit()
        except Rejected as refusal:
            refused[note] = f"{refusal.code}: {refusal.message}"
        except OutcomeUnknown as unknown:
            refused[note] = f"unknown: {unknown}"
        else:
            if note == "one_good_one_bad_output":
                status = await tape.poll("49e1", refused=ref["refused"])  # the history shows a success
                assert isinstance(status, Failed)
                refused[note] = f"{status.code}: {status.message} (billed {status.billed})"
            else:
                assert note == "numeric_string_coerced"
                assert file(await tape.poll("2988")).startswith("/view?filename=coerced")
    for note, words in REFUSALS.items():
        assert refused.pop(note) == f"{REJECTED}: {words}"
    assert refused.pop("one_good_one_bad_output") == (
        f"{REJECTED}: node 3 (SaveImage): Required input is missing: filename_prefix (billed yes)"
    )
    for note in ("not json", "prompt is UI-format workflow"):
        assert refused.pop(note) == f"{REJECTED}: the server cannot read it"
    assert refused.pop("prompt_id=None") == (
        "unknown: submit answered for prompt '5d8b4ab8-b0d5-430a-bad3-331c74ac94c3'"
    )
    assert set(refused.values()) == {f"{REJECTED}: {NO_UUID}"}, refused


async def execution_error(tape: Tape) -> None:
    """Also where another branch had saved an image before: half a workflow is no success."""
    for prompt_id in ("956e", "807e"):
        await tape.submit()
        status = await tape.poll(prompt_id)
        assert isinstance(status, Failed)
        assert (status.code, status.retryable, status.billed) == ("provider_error", False, "yes")
        assert status.message.startswith("LabFail: RuntimeError: ")
        assert "/" not in status.message, "paths of the server are not for users"


async def cancel_queued(tape: Tape) -> None:
    """A runs; B is deleted as from an old server, D by the newer call."""
    for _ in "ABD":
        await tape.submit()
    assert await tape.poll("c26a") == RUNS
    assert await tape.poll("0d40") == InProgress("queued", queue_position=0)
    assert await tape.poll("6f61") == InProgress("queued", queue_position=1)
    tape.old = True
    await tape.cancel("0d40")
    await tape.cancel("0d40")
    await tape.cancel("c26a")
    tape.wind_past("delete running A (no effect)")
    assert await tape.poll("c26a") == RUNS, "a delete does not stop what runs"
    assert await tape.poll("0d40") == LOST
    assert await tape.poll("6f61") == InProgress("queued", queue_position=0)
    tape.old = False
    await tape.cancel("6f61")
    tape.wind_past("jobs API cancels queued D")
    assert await tape.poll("6f61") == LOST
    assert await tape.poll("c26a") == RUNS
    tape.wind_past("interrupt for an id that is not running")
    assert file(await tape.poll("c26a")).startswith("/view?filename=lab_00003_.png")


async def interrupt_running(tape: Tape) -> None:
    tape.old = True
    await tape.submit()
    await tape.cancel("b2a1")
    assert await tape.poll("b2a1") == INTERRUPTED
    tape.old = False
    await tape.submit()  # somebody else interrupts whatever runs
    await tape.submit()
    await tape.cancel("5537")
    assert await tape.poll("5537") == INTERRUPTED
    await tape.cancel("5537")
    await tape.cancel("af10")
    await tape.submit()
    assert file(await tape.poll("f241")).startswith("/view?filename=lab_00004_.png")


async def unknown_ids(tape: Tape) -> None:
    assert await lookup_of(tape.provider).find(tape.request("b50b")) is None
    assert await tape.poll("b50b") == LOST
    await tape.cancel("b50b")
    tape.old = True
    await tape.cancel("b50b")


async def duplicate_prompt_id(tape: Tape) -> None:
    """Ids are not unique there: it is for us not to send one twice."""
    await tape.submit()
    assert file(await tape.poll("e3bc")).startswith("/view?filename=dupA_")
    await tape.submit()
    assert file(await tape.poll("e3bc")).startswith("/view?filename=dupB_"), "only the last run is kept"
    for _ in ("blocker", "copy 0", "copy 1"):
        request, _ = await tape.submit()
    assert await lookup_of(tape.provider).find(request) == {"id": request.idempotency_key}
    assert await tape.poll("6421") == RUNS
    assert await tape.poll("2765") == InProgress("queued", queue_position=0), "the first of both"
    tape.old = True
    await tape.cancel("2765")
    tape.wind_past("one delete call")
    assert await tape.poll("2765") == InProgress("queued", queue_position=0), "the other is still there"
    tape.wind_past("after one delete")
    assert file(await tape.poll("2765")).startswith("/view?filename=dupQ1_")


async def queue_order(tape: Tape) -> None:
    """Lower numbers come first, however the server lists them; others may clear everything."""
    for _ in ("blocker", "normal", "front", "first of all"):
        await tape.submit()
    assert await tape.poll("ea7a") == RUNS
    places = [await tape.poll(each) for each in ("8c11", "c33a", "680b")]
    assert places == [InProgress("queued", queue_position=place) for place in (0, 1, 2)]
    tape.wind_past("clear pending")
    assert await tape.poll("ea7a") == RUNS
    assert {await tape.poll(each) for each in ("8c11", "c33a", "680b")} == {LOST}
    tape.wind_past("after clear")
    assert await tape.poll("ea7a") == LOST, "its history was deleted, which ours must not be"


async def server_restart(tape: Tape) -> None:
    """What ran, what waited and what had ended: all is lost, and none of it is billed."""
    for _ in ("running", "queued"):
        await tape.submit()
    tape.down = True
    with pytest.raises(StatusUnavailable):
        await tape.poll("169a")
    with pytest.raises(StatusUnavailable):
        await lookup_of(tape.provider).find(tape.request("169a"))
    tape.down = False
    assert [await tape.poll(each) for each in ("169a", "db63", "8f7c")] == [LOST, LOST, LOST]


STORIES: dict[str, Story] = {
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


async def played(name: str) -> None:
    """Play a recording from its beginning to its end."""
    tape = Tape(f"comfyui/{name}")
    await STORIES[name](tape)
    left = {str(tape.exchanges[at]["note"]) for at in tape.unplayed}
    assert left == NEVER_ASKED.get(name, set()), "every answer that the adapter could get is played"
    for request in tape.asked:
        assert (
            request.url.path not in ("/queue", "/interrupt")
            or request.method == "GET"
            or (b'"delete"' in request.content or b'"prompt_id"' in request.content)
        ), "never a global interrupt"
