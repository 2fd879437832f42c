"""Who is in a picture, what the face does, and what it wears: random, from one seed; NumPy only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asmnet.datasets.records import LabelError

ORIGINS = ("african", "asian", "caucasian")
AGES = {"baby": 0.0, "child": 0.19, "young": 0.5, "old": 1.0}
# Folders of targets that shape a face, with the spread of their weights.
PARTS = {
    "cheek": 0.4, "chin": 0.35, "ears": 0.4, "eyebrows": 0.3, "eyes": 0.3, "forehead": 0.35,
    "head": 0.25, "mouth": 0.3, "neck": 0.25, "nose": 0.35,
}  # fmt: skip
# Two targets that are each other's opposite end so.
OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
    ("concave", "convex"), ("compress", "uncompress"),
)  # fmt: skip
USED_SHARE = 0.45  # of the pairs of targets have a part in a face
# What moves a part as a whole is told by few people so strongly.
MOVED = re.compile(r"trans|push")

UNITS = "expression/units"
SMILE = ("mouth-corner-puller", "mouth-retraction", "mouth-part-later")
SPEECH = (
    "mouth-open", "mouth-parling", "mouth-pursing", "mouth-protusion", "mouth-eversion",
    "mouth-depression", "mouth-elevation",
)  # fmt: skip
GRIMACE = (
    "mouth-compression", "mouth-depression-retraction", "mouth-upward-retraction", "mouth-open",
    "nose-compression", "nose-depression", "nose-left-elevation", "nose-right-elevation",
    "nose-left-dilatation", "nose-right-dilatation", "neck-platysma", "mouth-corner-puller",
    "mouth-pursing",
)  # fmt: skip
BROW_MOVES = ("eyebrows-{}-down", "eyebrows-{}-extern-up", "eyebrows-{}-inner-up", "eyebrows-{}-up")


@dataclass(frozen=True)
class Person:
    """Who is seen.

    Attributes:
        shape: weights of targets by name, without the expression's.
        expression: the same of the expression, without the lids' closure.
        origins: share of each of `ORIGINS`.
        female: 0–1.
        age: 0–1 as MakeHuman's, see `AGES`.
        closure: of right and left eye, 1 is closed.
        gaze: degrees to the subject's left, and up.
        skin: name of the texture.
        tone: factors of its red, green and blue.
        iris: name of the texture.
        brows: name of the asset.
        lashes: name of the asset.
        teeth: name of the asset.
        hair: name of the asset, or None.
        hair_colour: factors of red, green and blue of the grey of its texture.
        beard: 0–1, how dark the beard's skin is.
        glasses: "none", "clear" or "dark".
        headwear: "none", "cap" or "mask"; a mask covers mouth and nose.
        cloth: red, green and blue of what is worn.
    """

    shape: Mapping[str, float]
    expression: Mapping[str, float]
    origins: tuple[float, float, float]
    female: float
    age: float
    closure: tuple[float, float]
    gaze: tuple[float, float]
    skin: str
    tone: tuple[float, float, float]
    iris: str
    brows: str
    lashes: str
    teeth: str
    hair: str | None
    hair_colour: tuple[float, float, float]
    beard: float
    glasses: str
    headwear: str
    cloth: tuple[float, float, float]

    @property
    def brow_colour(self) -> tuple[float, float, float]:
        """Brows stay darker than light hair."""
        red, green, blue = (min(0.6 * part, 0.15) for part in self.hair_colour)
        return (red, green, blue)


@dataclass(frozen=True)
class Wardrobe:
    """What there is to choose from, each by name, sorted.

    Attributes:
        targets: of the face's parts.
        skins: textures.
        irises: textures.
        brows: assets.
        lashes: assets.
        teeth: assets.
        hairs: assets that have a texture.
    """

    targets: tuple[str, ...]
    skins: tuple[str, ...]
    irises: tuple[str, ...]
    brows: tuple[str, ...]
    lashes: tuple[str, ...]
    teeth: tuple[str, ...]
    hairs: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Wardrobe:
        """What lies in MakeHuman's folder.

        Raises:
            LabelError: a kind is missing.
        """

        def names(pattern: str, end: str) -> tuple[str, ...]:
            found = sorted(p.name.removesuffix(end) for p in folder.glob(pattern))
            if not found:
                raise LabelError(f"{folder / pattern}: expected assets of MakeHuman, got none")
            return tuple(found)

        targets = sorted(
            path.relative_to(folder / "targets").as_posix().removesuffix(".target.gz")
            for part in (*PARTS, "asym")
            for path in (folder / "targets" / part).glob("*.target.gz")
        )
        if not targets:
            raise LabelError(f"{folder / 'targets'}: expected targets of MakeHuman, got none")
        return cls(
            tuple(targets),
            names("skins/textures/*.webp", ".webp"),
            names("eyes/materials/*.webp", ".webp"),
            tuple(n.split(".")[0] for n in names("eyebrows/*/*.mhclo", ".mhclo")),
            names("eyelashes/*/*.mhclo", ".mhclo"),
            names("teeth/*/*.mhclo", ".mhclo"),
            names("hair/*/*_diffuse.webp", "_diffuse.webp"),
        )


def random_person(rng: np.random.Generator, wardrobe: Wardrobe) -> Person:
    """A person, drawn so that sexes, origins and ages all come often."""
    african, asian, caucasian = rng.dirichlet([0.35, 0.35, 0.35]).tolist()
    origins = (african, asian, caucasian)
    female = float(np.clip(rng.beta(0.3, 0.3), 0, 1))
    age = float(rng.choice([rng.uniform(0, 0.19), rng.uniform(0.19, 0.5), rng.uniform(0.4, 0.75),
                            rng.uniform(0.7, 1)], p=[0.1, 0.25, 0.4, 0.25]))  # fmt: skip
    shape = macro_weights(origins, female, age, float(rng.beta(2, 2)))
    shape.update(_parts(rng, wardrobe.targets, young=age < AGES["child"]))
    adult = age > 0.42
    hair = None if rng.random() < 0.2 else str(rng.choice(wardrobe.hairs))
    headwear = str(rng.choice(["none", "cap", "mask"], p=[0.84, 0.08, 0.08]))
    if headwear == "cap":
        hair = None  # it would come through
    dark = origins[0] > rng.uniform(0.3, 0.6)
    return Person(
        shape=shape,
        expression=_expression(rng, origins),
        origins=origins,
        female=female,
        age=age,
        closure=_closure(rng),
        gaze=(
            float(np.clip(rng.normal(0, 12), -30, 30)),
            float(np.clip(rng.normal(0, 7), -20, 15)),
        ),
        skin=_skin(rng, wardrobe.skins, dark=dark, female=female > 0.5, age=age),
        tone=_tone(rng, dark=dark),
        iris=_iris(rng, wardrobe.irises, caucasian),
        brows=str(rng.choice(wardrobe.brows)),
        lashes=str(rng.choice(wardrobe.lashes)),
        teeth=str(rng.choice(wardrobe.teeth)),
        hair=hair,
        hair_colour=_hair_colour(rng, age, dark=dark),
        beard=float(rng.uniform(0.1, 0.9)) if adult and female < 0.4 and rng.random() < 0.45 else 0,
        glasses=str(rng.choice(["none", "clear", "dark"], p=[0.8, 0.15, 0.05])),
        headwear=headwear,
        cloth=_colour(rng),
    )


def macro_weights(
    origins: Sequence[float], female: float, age: float, weight: float
) -> dict[str, float]:
    """MakeHuman's targets of sex, age, origin and weight, mixed between their neighbours.

    Args:
        origins: share of each of `ORIGINS`.
        female: 0–1.
        age: 0–1, see `AGES`.
        weight: 0–1, 0.5 is average.
    """
    names, at = list(AGES), list(AGES.values())
    ages = {n: float(np.interp(age, at, np.eye(len(at))[i])) for i, n in enumerate(names)}
    builds = {
        "minweight": max(0.0, 1 - 2 * weight),
        "maxweight": max(0.0, 2 * weight - 1),
    }
    builds["averageweight"] = 1 - sum(builds.values())
    weights = {}
    for sex, share in (("female", female), ("male", 1 - female)):
        for name, of_age in ages.items():
            for origin, of_origin in zip(ORIGINS, origins, strict=True):
                weights[f"macrodetails/{origin}-{sex}-{name}"] = share * of_age * of_origin
            for build, of_build in builds.items():
                key = f"macrodetails/universal-{sex}-{name}-averagemuscle-{build}"
                weights[key] = share * of_age * of_build
    return {name: float(value) for name, value in weights.items() if value > 0.005}


def opposite_pairs(targets: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of targets that are each other's opposite, and those that have none."""
    known, pairs = set(targets), []
    for name in targets:
        for low, high in OPPOSITES:
            if name.endswith(f"-{low}") and (other := name[: -len(low)] + high) in known:
                pairs.append((name, other))
    paired = {name for pair in pairs for name in pair}
    return pairs, [name for name in targets if name not in paired]


def _parts(rng: np.random.Generator, targets: Sequence[str], *, young: bool) -> dict[str, float]:
    """Weights of the targets of the face's parts: sides alike, up to a little."""
    pairs, single = opposite_pairs(targets)
    drawn: dict[str, float] = {}
    weights: dict[str, float] = {}
    for low, high in pairs:
        part = low.split("/")[0]
        both_sides = re.sub(r"/[lr]-", "/", low)
        if both_sides not in drawn:
            spread = PARTS[part] * (0.5 if MOVED.search(low) else 1.0) * (0.5 if young else 1.0)
            used = rng.random() < USED_SHARE
            drawn[both_sides] = rng.normal(0, spread) if used else 0.0
        value = float(np.clip(drawn[both_sides] * (1 + rng.normal(0, 0.1)), -1, 1))
        if abs(value) > 0.02:
            weights[high if value > 0 else low] = abs(value)
    for name in single:
        if name.startswith("asym/"):
            if rng.random() < 0.1:
                weights[name] = float(rng.uniform(0, 0.4))
        elif rng.random() < 0.15 and not name.startswith("ears/"):
            weights[name] = float(rng.uniform(0, 0.5))
    return weights


def _expression(rng: np.random.Generator, origins: Sequence[float]) -> dict[str, float]:
    kind = rng.choice(["none", "smile", "speech", "grimace"], p=[0.28, 0.27, 0.25, 0.2])
    moves: dict[str, float] = {}
    if kind == "smile":
        moves = {SMILE[0]: rng.uniform(0.3, 1.0), SMILE[1]: rng.uniform(0, 0.4)}
        moves[SMILE[2]] = rng.uniform(0, 0.9) * (rng.random() < 0.6)
        moves["mouth-open"] = rng.uniform(0, 0.5) * (rng.random() < 0.4)
    elif kind == "speech":
        chosen = rng.choice(SPEECH, size=2, replace=False)
        moves = {str(name): float(rng.uniform(0.1, 0.8)) for name in chosen}
        moves["mouth-open"] = rng.uniform(0, 0.8)
    elif kind == "grimace":
        chosen = rng.choice(GRIMACE, size=3, replace=False)
        moves = {str(name): float(rng.uniform(0.2, 1.0)) for name in chosen}
    if rng.random() < 0.45:
        name = str(rng.choice(BROW_MOVES))
        strength = rng.uniform(0.2, 1)
        for side in ("left", "right"):
            moves[name.format(side)] = strength * (1 if rng.random() < 0.85 else rng.uniform(0, 1))
    if rng.random() < 0.12:
        for side in ("left", "right"):
            moves[f"eye-{side}-opened-up"] = rng.uniform(0.2, 1)
    return {
        f"{UNITS}/{origin}/{name}": float(share * value)
        for name, value in moves.items()
        for origin, share in zip(ORIGINS, origins, strict=True)
        if share * value > 1e-3
    }


def _closure(rng: np.random.Generator) -> tuple[float, float]:
    kind = rng.choice(["open", "half", "closed", "wink"], p=[0.68, 0.14, 0.14, 0.04])
    if kind == "open":
        first = max(0.0, rng.normal(0.05, 0.1))
    elif kind == "half":
        first = rng.uniform(0.25, 0.85)
    else:
        first = 1.0
    second = first if kind != "wink" else rng.uniform(0, 0.3)
    pair = (float(min(first, 1)), float(min(second, 1)))
    return pair if rng.random() < 0.5 else pair[::-1]


def _skin(
    rng: np.random.Generator, skins: Sequence[str], *, dark: bool, female: bool, age: float
) -> str:
    """A texture of that tone, and of that age and sex if there is one."""
    words = ("darkskinned" if dark else "lightskinned", "female" if female else "male")
    stage = "old" if age > 0.8 else "middleage" if age > 0.6 else "young"
    scores = [
        4 * (f"_{words[0]}" in name) + 2 * name.startswith(stage) + (f"_{words[1]}_" in name)
        for name in skins
    ]
    # Young ones have no wrinkles where a child's face would get an old man's.
    best = [n for n, s in zip(skins, scores, strict=True) if s == max(scores)]
    if rng.random() < 0.25:
        best = [n for n in skins if f"_{words[0]}" in n and (age > 0.5 or n.startswith("young"))]
    return str(rng.choice(best or list(skins)))


def _iris(rng: np.random.Generator, irises: Sequence[str], caucasian: float) -> str:
    """Brown for most people, any colour for half of those from Europe."""
    brown = [name for name in irises if name.startswith("brown")]
    if brown and rng.random() > 0.5 * caucasian:
        return str(rng.choice(brown))
    return str(rng.choice(irises))


def _tone(rng: np.random.Generator, *, dark: bool) -> tuple[float, float, float]:
    light = float(np.exp(rng.normal(0.35 if dark else -0.05, 0.22)))
    warm = rng.normal(-0.02, 0.04)
    return (light * float(np.exp(warm)), light, light * float(np.exp(-warm + rng.normal(0, 0.05))))


def _hair_colour(rng: np.random.Generator, age: float, *, dark: bool) -> tuple[float, float, float]:
    if age > 0.75 and rng.random() < (0.35 if dark else 0.6):
        grey = rng.uniform(0.1, 0.5) if dark else rng.uniform(0.4, 0.95)
        return (float(grey), float(grey * 0.98), float(grey * 0.95))
    kinds = ((0.03, 0.02, 0.018), (0.09, 0.05, 0.03), (0.2, 0.11, 0.05), (0.5, 0.36, 0.18),
             (0.35, 0.1, 0.04))  # fmt: skip
    shares = [0.75, 0.2, 0.05, 0, 0] if dark else [0.35, 0.25, 0.2, 0.13, 0.07]
    colour = np.array(kinds[int(rng.choice(len(kinds), p=shares))])
    if rng.random() < 0.04:
        return _colour(rng)
    red, green, blue = colour * rng.uniform(0.7, 1.3)
    return (float(red), float(green), float(blue))


def _colour(rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = rng.uniform(0.01, 0.9, 3) ** 1.5
    return (float(red), float(green), float(blue))
