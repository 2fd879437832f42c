"""``asmnet weights``: list, download, verify and locate networks."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from asmnet.commands.console import complain
from asmnet.commands.options import EXIT_FAILED, EXIT_OK
from asmnet.errors import WeightsError, WeightsNotFoundError
from asmnet.weights import (
    WeightsRecord,
    cached_references,
    families,
    find_record,
    manifest,
    read_verified,
)

_NAME_HELP = "a name of `asmnet weights list`, or hf://org/repo[@revision]#name"
_ENVIRONMENT = (
    "Environment: ASMNET_CACHE is the folder of downloaded weights; copy it to a machine without a "
    "network. HF_HUB_OFFLINE=1 forbids downloads; HF_TOKEN and HF_ENDPOINT choose account and hub."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the parser of ``asmnet``."""
    parser = commands.add_parser(
        "weights",
        help="list, download, verify and locate networks",
        description="The networks that this machine has or can get. Only `download` uses the "
        "network.",
        epilog=_ENVIRONMENT,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser(
        "list",
        help="all known networks",
        description="Prints name, family, task, size, licence, place and first figure of each "
        "network. Downloaded ones lie in ASMNET_CACHE, or else in asmnet in the platform's cache "
        "folder.",
        epilog=_ENVIRONMENT,
    )
    listing.add_argument("--json", action="store_true", help="print the whole records as JSON")
    listing.set_defaults(run=run_list)

    download = actions.add_parser(
        "download",
        help="fetch a network",
        description="Fetches a network into the cache, unless a verified file is there. A branch "
        "or tag is looked up again each time; a full commit as revision never changes.",
        epilog=_ENVIRONMENT,
    )
    download.add_argument("names", nargs="+", metavar="NAME", help=_NAME_HELP)
    download.set_defaults(run=run_download)

    verify = actions.add_parser(
        "verify",
        help="compare files with their SHA-256",
        description="Reads each file and compares it with its manifest. Exit code 1 if one is "
        "damaged, or asked for by name and not there.",
        epilog=_ENVIRONMENT,
    )
    verify.add_argument("names", nargs="*", metavar="NAME", help=f"{_NAME_HELP}; none: all")
    verify.set_defaults(run=run_verify)

    path = actions.add_parser(
        "path",
        help="print where a network's file lies",
        description="Prints the path of a verified file.",
        epilog=_ENVIRONMENT,
    )
    path.add_argument("name", metavar="NAME", help=_NAME_HELP)
    path.set_defaults(run=run_path)


def run_list(options: argparse.Namespace) -> int:
    """Prints the table, or the records as JSON."""
    records = {name: find_record(name) for name in (*manifest(), *cached_references())}
    if options.json:
        print(json.dumps([_as_json(*item) for item in records.items()], indent=2))
        return EXIT_OK
    header = ("name", "family", "task", "size", "licence", "where", "first figure")
    rows = [header, *(_row(*item) for item in records.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    return EXIT_OK


def run_download(options: argparse.Namespace) -> int:
    """Fetches each; one that fails does not stop the others."""
    # Imported here because it brings the hub's client, which the other actions do without.
    from asmnet.weights.hub import download_weights

    failed = False
    for name in options.names:
        try:
            done = download_weights(name)
        except WeightsError as error:
            complain(str(error))
            failed = True
            continue
        if done.moved_from is not None:
            source = done.record.source
            now = source.revision if source is not None else ""
            print(f"{name}: the revision has moved from {done.moved_from} to {now}")
        state = "downloaded" if done.fetched else "already there"
        print(f"{name}: {state}, {done.record.path}")
    return EXIT_FAILED if failed else EXIT_OK


def run_verify(options: argparse.Namespace) -> int:
    """Checks the named files, or all that are on this machine."""
    states = [_verify(name) for name in options.names or (*manifest(), *cached_references())]
    # Without names, weights that were never downloaded are no fault.
    failures = {"BAD", "missing", "not downloaded"} if options.names else {"BAD", "missing"}
    return EXIT_FAILED if failures & set(states) else EXIT_OK


def run_path(options: argparse.Namespace) -> int:
    """Prints the path, after a check of the file."""
    record = find_record(options.name)
    read_verified(record, options.name)
    print(record.path)
    return EXIT_OK


def _verify(name: str) -> str:
    """Prints and returns the state of one file."""
    try:
        read_verified(find_record(name), name)
    except WeightsNotFoundError:
        bundled = name in manifest() and manifest()[name].source is None
        state = "missing" if bundled else "not downloaded"
    except WeightsError as error:
        state = "BAD"
        complain(str(error))
    else:
        state = "good"
    print(f"{name}: {state}")
    return state


def _row(name: str, record: WeightsRecord) -> tuple[str, ...]:
    figures = [f"{what}: {figure['value']:g}" for what, figure in record.metrics.items()]
    return (
        name,
        _family(name) or "",
        record.task,
        f"{record.bytes / 1e6:.1f} MB",
        record.short_license,
        _place(record),
        figures[0] if figures else "",
    )


def _place(record: WeightsRecord) -> str:
    if record.source is None:
        return "bundled"
    return "cached" if record.path.exists() else "not downloaded"


def _as_json(name: str, record: WeightsRecord) -> dict[str, Any]:
    place = {"where": _place(record), "path": str(record.path)}
    return {**asdict(record), "name": name, "family": _family(name), **place}


def _family(name: str) -> str | None:
    """The family that a name belongs to, if it does."""
    return next((family.name for family in families().values() if name in family), None)
