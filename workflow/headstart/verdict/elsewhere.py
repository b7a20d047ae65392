"""What a further test set says beside the verdict at home: who leads there, which answers change.

Fine-tuning may win where the training images come from and lose elsewhere (Kumar et al. 2022,
"Fine-tuning can distort pretrained features and underperform out-of-distribution").
"""

from collections.abc import Mapping

from headstart.verdict.phrases import article, between, joined, writer


def told(home: Mapping, name: str, verdict: Mapping) -> dict:
    """A further set's entry in the home verdict.

    Args:
        home: the verdict at home, as in verdict.json, but for its statement.
        verdict: the set's own; it may lack strategies that are not tested there.

    Returns:
        Its name, n_test, leader, recommended, the answers that differ from those at home, in
        `changes`, and all this in a sentence.
    """
    there = {entry["strategy"] for entry in verdict["strategies"]}
    favourite = next(e["strategy"] for e in home["strategies"] if e["strategy"] in there)
    entry = {
        "name": name,
        "n_test": verdict["n_test"],
        "leader": verdict["leader"],
        "recommended": verdict["recommended"],
        "changes": _changes(home, verdict),
    }
    return entry | {"statement": _sentence(entry, favourite, verdict)}


def _changes(home: Mapping, verdict: Mapping) -> list[dict]:
    """The pairs, in the order of home, of which something else is shown than at home."""
    here, there = _answers(home), _answers(verdict)
    return [
        {"a": pair["a"], "b": pair["b"], "home": here[key], "there": there[key]}
        for pair in home["comparisons"]
        if (key := frozenset((pair["a"], pair["b"]))) in there and here[key] != there[key]
    ]


def _answers(verdict: Mapping) -> dict[frozenset[str], str]:
    """What is shown of each pair, whose order does not matter: `full better`, or the answer."""
    return {frozenset((pair["a"], pair["b"])): _shown(pair) for pair in verdict["comparisons"]}


def _shown(pair: Mapping) -> str:
    if pair["answer"] != "better":
        return str(pair["answer"])
    return f"{pair['a'] if pair['difference'] > 0 else pair['b']} better"


def _sentence(entry: Mapping, favourite: str, verdict: Mapping) -> str:
    """On field (212 images) full leads, as at home, with ..., and no answer changes."""
    best, write = verdict["strategies"][0], writer(dict(verdict))
    mean = (
        f"{article(verdict['metric_name'])} {verdict['metric_name']} of {write(best['mean'])} "
        f"(95 % interval {between(write, best)})"
    )
    start = f"on {entry['name']} ({entry['n_test']:,} images) {entry['leader']}"
    if not verdict["comparisons"]:
        return f"{start} reaches {mean}"
    same = entry["leader"] == favourite
    leads = "leads, as at home," if same else f"leads, not {favourite},"
    link = "and" if same != bool(entry["changes"]) else "but"
    return f"{start} {leads} with {mean}, {link} {_told_changes(entry['changes'])}"


def _told_changes(changes: list[dict]) -> str:
    if not changes:
        return "no answer changes"
    said = [f"of {c['a']} and {c['b']} {c['home']} at home, {c['there']} there" for c in changes]
    return f"{'an answer changes' if len(said) == 1 else 'answers change'}: {joined(said)}"
