"""What skin, cloth, hair, eyes and glasses look like: Blender's materials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asmnet.errors import InvalidInputError
from asmnet.synthetic.head import Piece
from asmnet.synthetic.identity import Person


def skin_material(bpy: Any, path: Path, person: Person) -> Any:
    """Of a skin texture (PNG) in a person's tone, with the beard that the mesh has."""
    material, shader, tree = _new(
        bpy, "skin", Roughness=0.45, Subsurface_Weight=0.15, Subsurface_Scale=0.05
    )
    shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.2)
    colour, _ = _textured(bpy, tree, path, person.tone)
    if person.beard > 0:
        beard = tree.nodes.new("ShaderNodeAttribute")
        beard.attribute_name = "beard"
        noise = tree.nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = 60
        product = tree.nodes.new("ShaderNodeMath")
        product.operation = "MULTIPLY_ADD"
        tree.links.new(beard.outputs["Fac"], product.inputs[0])
        tree.links.new(noise.outputs["Fac"], product.inputs[1])
        product.inputs[2].default_value = 0
        gain = tree.nodes.new("ShaderNodeMath")
        gain.operation = "MULTIPLY"
        gain.use_clamp = True
        gain.inputs[1].default_value = 2.0
        tree.links.new(product.outputs[0], gain.inputs[0])
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type = "RGBA"
        tree.links.new(gain.outputs[0], mix.inputs["Factor"])
        a, b = (s for s in mix.inputs if s.type == "RGBA")
        tree.links.new(colour, a)
        b.default_value = (*person.hair_colour, 1)
        (colour,) = (s for s in mix.outputs if s.type == "RGBA")
    tree.links.new(colour, shader.inputs["Base Color"])
    return material


def cloth_material(bpy: Any, colour: tuple[float, float, float]) -> Any:
    """Plain cloth of a linear RGB colour."""
    return _new(bpy, "cloth", Base_Color=(*colour, 1), Roughness=0.9)[0]


def piece_material(bpy: Any, piece: Piece, person: Person, iris: Path) -> Any:
    """Of a piece by its name: eyes, hair, glasses, what is worn."""
    name = piece.name
    if name == "eye":
        material, shader, tree = _new(bpy, name, Roughness=0.08)
        colour, _ = _textured(bpy, tree, iris)
        tree.links.new(colour, shader.inputs["Base Color"])
        return material
    if name in ("frame", "cap", "mask"):
        colour = {"frame": tuple(c * 0.3 for c in person.cloth), "cap": person.cloth[::-1]}.get(
            name, (0.65, 0.75, 0.8) if sum(person.cloth) > 0.6 else person.cloth
        )
        rough = 0.35 if name == "frame" else 0.9
        return _new(bpy, name, Base_Color=(*colour, 1), Roughness=rough)[0]
    if name == "clear lens":
        return _new(bpy, name, Base_Color=(1, 1, 1, 1), Roughness=0.02, Alpha=0.08)[0]
    if name == "dark lens":
        return _new(bpy, name, Base_Color=(0.01, 0.01, 0.012, 1), Roughness=0.05, Alpha=0.93)[0]
    assert piece.texture is not None
    material, shader, tree = _new(bpy, name, Roughness=0.6 if name != "teeth" else 0.2)
    if name in ("hair", "brows"):
        # The texture's strands, as grey of a middle lightness, times the colour.
        own = person.hair_colour if name == "hair" else person.brow_colour
        colour, alpha = _strands(bpy, tree, piece.texture, own)
    else:
        colour, alpha = _textured(bpy, tree, piece.texture)
    tree.links.new(colour, shader.inputs["Base Color"])
    if name != "tongue":
        tree.links.new(alpha, shader.inputs["Alpha"])
    return material


def _strands(
    bpy: Any, tree: Any, path: Path, colour: tuple[float, float, float]
) -> tuple[Any, Any]:
    """A hair texture without its colour, as light as any other, times a colour; and its alpha."""
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = load_picture(bpy, path)
    pixels = np.empty(len(texture.image.pixels), np.float32)
    texture.image.pixels.foreach_get(pixels)
    table = pixels.reshape(-1, 4)
    shown = table[table[:, 3] > 0.5, :3]
    mean = float(shown.mean()) if len(shown) else 1.0
    grey, scale, tint = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("RGBToBW", "Math", "Mix"))
    tree.links.new(texture.outputs["Color"], grey.inputs[0])
    scale.operation = "DIVIDE"
    scale.inputs[1].default_value = max(mean**2.2, 1e-3)  # as the shader sees it, linear
    tree.links.new(grey.outputs[0], scale.inputs[0])
    # Between strands, where it is half clear, a texture may be white.
    most = tree.nodes.new("ShaderNodeMath")
    most.operation = "MINIMUM"
    most.inputs[1].default_value = 1.6
    tree.links.new(scale.outputs[0], most.inputs[0])
    tint.data_type, tint.blend_type = "RGBA", "MULTIPLY"
    tint.inputs["Factor"].default_value = 1
    a, b = (s for s in tint.inputs if s.type == "RGBA")
    tree.links.new(most.outputs[0], a)
    b.default_value = (*colour, 1)
    (out,) = (s for s in tint.outputs if s.type == "RGBA")
    return out, texture.outputs["Alpha"]


def load_picture(bpy: Any, path: Path) -> Any:
    """A picture that Blender has loaded, once for all that use it.

    Raises:
        InvalidInputError: there is none that it can read.
    """
    try:
        return bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError as error:
        raise InvalidInputError(f"{path}: expected a picture, got none: {error}") from error


def _new(bpy: Any, name: str, **inputs: Any) -> tuple[Any, Any, Any]:
    """A material of Blender's Principled shader: it, its shader and its tree."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    for key, value in inputs.items():
        shader.inputs[key.replace("_", " ")].default_value = value
    return material, shader, material.node_tree


def _textured(bpy: Any, tree: Any, path: Path, colour: Any = None) -> tuple[Any, Any]:
    """Outputs colour, multiplied by one if given, and alpha of a texture."""
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = load_picture(bpy, path)
    if colour is None:
        return texture.outputs["Color"], texture.outputs["Alpha"]
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
    mix.inputs["Factor"].default_value = 1
    a, b = (s for s in mix.inputs if s.type == "RGBA")
    tree.links.new(texture.outputs["Color"], a)
    b.default_value = (*colour, 1)
    (out,) = (s for s in mix.outputs if s.type == "RGBA")
    return out, texture.outputs["Alpha"]
