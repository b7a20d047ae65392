"""YAML documents, read so that nothing in them is lost in silence and none takes for ever."""

from typing import Any

import yaml

_DEEPEST = 50  # lists and mappings within each other
_MOST = 100_000  # values, those that aliases repeat counted each time
_LONGEST_NUMBER = 100  # characters
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


def parse(text: str) -> Any:
    """The value of a YAML document.

    Stricter than PyYAML, a key stands once in its mapping, an alias does not lead back to itself
    or unfold to more than 100,000 values, nothing is nested more than 50 deep, and no text holds
    a NUL character.

    Raises:
        yaml.YAMLError: it breaks a rule.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values = 0
        self._unfolded: dict[int, int] = {}  # of each node that is complete, how many values

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if self._depth > _DEEPEST:
            raise _mistake(f"nested more than {_DEEPEST} deep; no setting is", event.start_mark)
        before = self._values
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._values += 1
            self._unfolded[id(node)] = self._values - before
        elif (values := self._unfolded.get(id(node))) is None:
            raise _mistake(
                f"*{event.anchor} stands within what it repeats; write it out", event.start_mark
            )
        else:
            self._values += values
        if self._values > _MOST:
            raise _mistake(
                f"more than {_MOST:,} values, with what aliases repeat", event.start_mark
            )
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = key.value if key.tag == _MERGE else str(self.construct_object(key))
                if name in lines:
                    raise _mistake(
                        f"the key {name[:80]!r} stands in line {lines[name]} already; keep one, or "
                        "rename it",
                        key.start_mark,
                    )
                lines[name] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise _mistake(
                f"a number of {len(node.value):,} characters; give it in at most {_LONGEST_NUMBER}",
                node.start_mark,
            )
        if "\0" in node.value:
            raise _mistake("a NUL character, which no path and no name can hold", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            raise _mistake(f"{str(node.value)[:80]!r} is no {kind}", node.start_mark) from None


def _mistake(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
