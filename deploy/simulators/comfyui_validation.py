"""Validate a graph as ComfyUI 0.27.1 does: its runnable outputs, or the server's errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.simulators.comfyui_models import Models
from deploy.simulators.comfyui_nodes import MAX_LISTED_CHOICES, Input, node_classes

Graph = dict[str, dict[str, Any]]
Problem = dict[str, Any]
CASTS: Final[dict[str, Callable[[Any], Any]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


class UnexpectedInput(Exception):
    """An input that the real server answers with a plain-text 500."""


@dataclass(frozen=True)
class ValidationResult:
    """Result of a validation. With `error` no output may run; `node_errors` may exist beside runnable
    outputs."""

    error: Problem | None = None
    outputs: tuple[str, ...] = ()
    node_errors: dict[str, Any] = field(default_factory=dict)


def problem(kind: str, message: str, details: str = "", **extra: Any) -> Problem:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def validate(
    graph: Graph, has_file: Callable[[str], bool], models: Models, targets: Any = None
) -> ValidationResult:
    """Validate a graph. Numbers given as text are converted in place, as the real server does."""
    outputs = []
    for node_id, node in graph.items():
        error = _class_problem(node_id, node)
        if error is not None:
            return ValidationResult(error)
        is_target = targets is None or node_id in targets
        if is_target and node_classes()[node["class_type"]].is_output:
            outputs.append(node_id)
    if not outputs:
        return ValidationResult(problem("prompt_no_outputs", "Prompt has no outputs"))
    return _summarize(_Validation(graph, has_file, models), outputs)


def _class_problem(node_id: str, node: Any) -> Problem | None:
    if not isinstance(node, dict):
        raise UnexpectedInput
    name, title = node.get("class_type"), node.get("_meta", {}).get("title")
    extra = {"node_id": node_id, "class_type": name, "node_title": title or name}
    where = f"Node ID '#{node_id}'"
    if "class_type" not in node:
        text = f"Node 'ID #{node_id}' has no class_type. The workflow may be corrupted or a custom node is missing."  # noqa: E501
        return problem("missing_node_type", text, where, **extra)
    if name not in node_classes():
        text = f"Node '{title or name}' not found. The custom node may not be installed."
        return problem("missing_node_type", text, where, **extra)
    return None


def _summarize(validation: "_Validation", outputs: list[str]) -> ValidationResult:
    good: list[str] = []
    details: list[str] = []
    node_errors: dict[str, Any] = {}
    for output in outputs:
        problems = validation.check_output(output)
        if problems is None:
            good.append(output)
            continue
        details += [f"{item['message']}: {item['details']}" for item in problems]
        for node_id, found in validation.found.items():
            if found:
                name = validation.graph[node_id]["class_type"]
                entry = {"errors": found, "dependent_outputs": [], "class_type": name}
                node_errors.setdefault(node_id, entry)["dependent_outputs"].append(output)
    if good:
        return ValidationResult(outputs=tuple(good), node_errors=node_errors)
    text = "Prompt outputs failed validation"
    error = problem("prompt_outputs_failed_validation", text, "\n".join(details))
    return ValidationResult(error, node_errors=node_errors)


class _Validation:
    """A walk back from each output. `found` has the problems of every visited node, in that order."""

    def __init__(self, graph: Graph, has_file: Callable[[str], bool], models: Models) -> None:
        self.graph = graph
        self._has_file = has_file
        self._models = models
        self.found: dict[str, list[Problem]] = {}
        self._bad: set[str] = set()
        self._path: list[str] = []

    def check_output(self, node_id: str) -> list[Problem] | None:
        """Return None if the output may run, else the problems of the output node itself."""
        self._path.clear()
        try:
            return None if self._check(node_id) else self.found[node_id]
        except Exception as error:  # from a link to a missing node or slot
            self._bad.add(node_id)
            self.found[node_id] = [_exception(error)]
            return self.found[node_id]

    def _check(self, node_id: str) -> bool:
        if node_id in self.found:
            return node_id not in self._bad
        if node_id in self._path:
            self._mark_cycle(node_id)
            return False
        self._path.append(node_id)
        problems, sound = self._check_inputs(node_id)
        self._path.pop()
        if node_id in self.found:  # the node is part of a cycle
            return False
        self.found[node_id] = problems
        if problems or not sound:
            self._bad.add(node_id)
        return node_id not in self._bad

    def _check_inputs(self, node_id: str) -> tuple[list[Problem], bool]:
        node = self.graph[node_id]
        inputs: dict[str, Any] = node.get("inputs", {})
        problems: list[Problem] = []
        sound = True
        for item in map(self._models.with_current_choices, node_classes()[node["class_type"]].inputs):
            value = inputs.get(item.name)
            error: Problem | None = None
            if item.name not in inputs:
                if item.required:
                    error = _missing(item.name)
            elif isinstance(value, list):
                error = self._link_problem(item, value)
                sound = sound and (bool(error) or self._check(value[0]))
            else:
                error = self._value_problem(item, inputs)
            if error:
                problems.append(error)
        return problems, sound

    def _link_problem(self, item: Input, link: list[Any]) -> Problem | None:
        about = {"input_name": item.name, "input_config": item.config}
        if len(link) != 2:
            text = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return problem("bad_linked_input", text, item.name, **about, received_value=link)
        source = node_classes()[self.graph[link[0]]["class_type"]]
        received = source.returns[link[1]]
        if received == item.kind or (item.kind == "COMBO" and received == "STRING"):
            return None
        return problem(
            "return_type_mismatch",
            "Return type mismatch between linked nodes",
            f"{item.name}, received_type({received}) mismatch input_type({item.kind})",
            **about,
            received_type=received,
            linked_node=link,
        )

    def _value_problem(self, item: Input, inputs: dict[str, Any]) -> Problem | None:
        value, name = inputs[item.name], item.name
        about = {"input_name": name, "input_config": item.config, "received_value": value}
        try:
            value = inputs[name] = CASTS.get(item.kind, lambda same: same)(value)
        except (TypeError, ValueError) as error:
            text = f"Failed to convert an input value to a {item.kind} value"
            details = f"{name}, {value}, {error}"
            about["exception_message"] = str(error)
            return problem("invalid_input_type", text, details, **about)
        low, high = item.options.get("min"), item.options.get("max")
        about["received_value"] = value
        if item.kind in ("INT", "FLOAT") and low is not None and value < low:
            text = f"Value {value} smaller than min of {low}"
            return problem("value_smaller_than_min", text, name, **about)
        if item.kind in ("INT", "FLOAT") and high is not None and value > high:
            text = f"Value {value} bigger than max of {high}"
            return problem("value_bigger_than_max", text, name, **about)
        return self._choice_problem(item, value, about)

    def _choice_problem(self, item: Input, value: Any, about: dict[str, Any]) -> Problem | None:
        if item.source == "files":
            if self._has_file(str(value)):
                return None
            text = f"{item.name} - Invalid image file: {value}"
            message = "Custom validation failed for node"
            return problem("custom_validation_failed", message, text, input_name=item.name)
        if item.allows(value):
            return None
        choices = list(item.choices or ())
        shown = str(choices) if len(choices) <= MAX_LISTED_CHOICES else f"(list of length {len(choices)})"
        if len(choices) > MAX_LISTED_CHOICES:
            about["input_config"] = None
        text = f"{item.name}: '{value}' not in {shown}"
        return problem("value_not_in_list", "Value not in list", text, **about)

    def _mark_cycle(self, node_id: str) -> None:
        cycle = self._path[self._path.index(node_id) :]
        names = [f"{step} ({self.graph[step]['class_type']})" for step in [*cycle, node_id]]
        for step in cycle:
            text, details = "Dependency cycle detected", " -> ".join(names)
            found = problem("dependency_cycle", text, details, node_id=step, cycle_nodes=cycle)
            self.found[step] = [found]
            self._bad.add(step)


def _missing(name: str) -> Problem:
    text = "Required input is missing"
    return problem("required_input_missing", text, name, input_name=name)


def _exception(error: Exception) -> Problem:
    kind = type(error).__name__
    return problem(
        "exception_during_validation",
        "Exception when validating node",
        str(error),
        exception_type=kind,
        traceback=[f"{kind}: {error}\n"],
    )
