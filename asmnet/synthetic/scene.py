"""A head in its setting as a Blender scene. The only module that knows Blender.

The scene's axes are the base mesh's: x = the subject's left, y up, z to the front.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from asmnet.errors import InvalidInputError
from asmnet.geometry import FloatArray
from asmnet.synthetic.head import Head, Piece
from asmnet.synthetic.identity import Person
from asmnet.synthetic.labels import Camera
from asmnet.synthetic.mesh import Mesh
from asmnet.synthetic.setting import Setting

BLENDER = (4, 5)
# A point is hidden if something lies before it by more than this, in dm.
HIDDEN_BY = 0.04
# What the pixels of a mask say; the numbers of materials in Blender.
PARTS = ("background", "skin", "hair", "eye", "mouth", "worn")
_PART_OF = {
    "skin": "skin", "hair": "hair", "brows": "hair", "lashes": "hair", "eye": "eye",
    "teeth": "mouth", "tongue": "mouth",
}  # fmt: skip
# What light goes through does not hide a point.
_CLEAR = ("hair", "lashes", "brows", "clear lens")


def blender() -> Any:
    """The module bpy.

    Raises:
        InvalidInputError: it is not installed, or another version.
    """
    try:
        import bpy
    except ImportError as error:
        python = ".".join(map(str, sys.version_info[:2]))
        raise InvalidInputError(
            "synthesize: expected Blender 4.5 as a Python module (pip install 'asmnet[synthetic]' "
            f"on Python 3.11), got none on Python {python}: {error}"
        ) from error
    if bpy.app.version[:2] != BLENDER:
        raise InvalidInputError(
            f"synthesize: expected Blender 4.5 (bpy==4.5.*), got {bpy.app.version_string}"
        )
    return bpy


def render(
    head: Head,
    person: Person,
    setting: Setting,
    camera: Camera,
    *,
    environment: Path,
    skin: Path,
    iris: Path,
    samples: int,
    seed: int,
    target: Path,
    mask: Path | None = None,
) -> tuple[FloatArray, Any]:
    """Renders a picture as PNG and returns the subdivided skin's vertices and what hides points.

    Args:
        head: what is seen.
        person: whose it is.
        setting: light and background.
        camera: of the picture.
        environment: an ``.hdr`` file.
        skin: texture.
        iris: texture.
        samples: of each pixel.
        seed: of the sampling.
        target: the file to write.
        mask: a PNG to write too: of each pixel the number in `PARTS` of what is seen there.

    Returns:
        (n, 3) the vertices of the base mesh, those of the skin as they are rendered; and a
        function of points (k, 3) that tells which of them the camera sees, (k,) bool.
    """
    bpy = blender()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    _set_up(scene, camera, setting, samples, seed)
    _set_camera(bpy, scene, camera)
    _set_light(bpy, scene, setting, environment)
    body = _add(bpy, "skin", head.skin, [_skin(bpy, skin, person), _cloth(bpy, person.cloth)])
    body.data.polygons.foreach_set("material_index", head.collar.astype(np.int32))
    attribute = body.data.attributes.new("beard", "FLOAT", "POINT")
    attribute.data.foreach_set("value", head.beard.astype(np.float32))
    body.modifiers.new("smooth", "SUBSURF").render_levels = 1
    body.modifiers["smooth"].levels = 1
    opaque = [body]
    for piece in head.pieces:
        made = _add(bpy, piece.name, piece.mesh, [_material(bpy, piece, person, iris)])
        if piece.name in ("eye", "mask", "cap"):
            level = made.modifiers.new("smooth", "SUBSURF")
            level.levels = level.render_levels = 1
        if piece.name not in _CLEAR:
            opaque.append(made)
    scene.render.filepath = str(target)
    numbers = None if mask is None else _number_parts(bpy, scene, target)
    bpy.ops.render.render(write_still=True)
    if mask is not None and numbers is not None:
        _write_mask(bpy, numbers, mask)
    graph = bpy.context.evaluated_depsgraph_get()
    vertices = head.vertices.copy()
    vertices[head.numbers] = _vertices(body.evaluated_get(graph).data)[: len(head.numbers)]
    return vertices, _sight(opaque, graph, camera)


def _set_up(scene: Any, camera: Camera, setting: Setting, samples: int, seed: int) -> None:
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = camera.size
    render.resolution_percentage = 100
    render.threads_mode, render.threads = "FIXED", 1
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples, cycles.seed = samples, seed % 2**31
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    # Half the time of the default, without a difference that is seen at this size.
    cycles.denoising_quality, cycles.denoising_prefilter = "FAST", "NONE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 2, 2
    cycles.transparent_max_bounces = 12
    cycles.caustics_reflective = cycles.caustics_refractive = False
    scene.view_settings.view_transform = "AgX" if setting.soft else "Standard"
    scene.view_settings.exposure = setting.exposure


def _set_camera(bpy: Any, scene: Any, camera: Camera) -> None:
    import mathutils

    data = bpy.data.cameras.new("camera")
    data.sensor_fit, data.sensor_width = "HORIZONTAL", 36.0
    data.lens = 36.0 * camera.focal / camera.size
    data.clip_start, data.clip_end = 0.05, 1000
    made = bpy.data.objects.new("camera", data)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = camera.rotation, camera.position
    made.matrix_world = mathutils.Matrix(matrix.tolist())
    scene.collection.objects.link(made)
    scene.camera = made


def _set_light(bpy: Any, scene: Any, setting: Setting, environment: Path) -> None:
    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    # The default measures the environment anew at full size, which takes longer than the picture.
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 256
    nodes, links = world.node_tree.nodes, world.node_tree.links
    texture = nodes.new("ShaderNodeTexEnvironment")
    texture.image = _image(bpy, environment)
    pixels = np.empty(len(texture.image.pixels), np.float32)
    texture.image.pixels.foreach_get(pixels)
    mean = float(pixels.reshape(-1, 4)[:, :3].clip(0, 20).mean())
    # Blender's environments have z up; this scene has y up.
    coordinates, turn = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    turn.inputs["Rotation"].default_value = (np.pi / 2, 0, setting.environment_turn)
    links.new(coordinates.outputs["Generated"], turn.inputs["Vector"])
    links.new(turn.outputs["Vector"], texture.inputs["Vector"])
    background = nodes["Background"]
    background.inputs["Strength"].default_value = setting.light / max(mean, 1e-6)
    links.new(texture.outputs["Color"], background.inputs["Color"])
    if setting.background is not None:  # a wall that the camera sees, and the light does not
        wall, ray, mix = (
            nodes.new(f"ShaderNode{kind}") for kind in ("Background", "LightPath", "MixShader")
        )
        wall.inputs["Color"].default_value = (*setting.background, 1)
        wall.inputs["Strength"].default_value = setting.light
        links.new(ray.outputs["Is Camera Ray"], mix.inputs["Fac"])
        links.new(background.outputs["Background"], mix.inputs[1])
        links.new(wall.outputs["Background"], mix.inputs[2])
        links.new(mix.outputs["Shader"], nodes["World Output"].inputs["Surface"])
    for lamp in setting.lamps:
        data = bpy.data.lights.new("lamp", "AREA")
        data.energy, data.size, data.color = lamp.power, lamp.side, lamp.colour
        made = bpy.data.objects.new("lamp", data)
        import mathutils

        place = mathutils.Vector(lamp.position)
        made.location = place
        made.rotation_euler = place.to_track_quat("Z", "Y").to_euler()
        scene.collection.objects.link(made)


def _number_parts(bpy: Any, scene: Any, beside: Path) -> Path:
    """Has the next rendering write the materials' numbers, and returns the file that it will."""
    for material in bpy.data.materials:
        part = _PART_OF.get(material.name.split(".")[0], "worn")
        material.pass_index = PARTS.index(part)
    scene.view_layers[0].use_pass_material_index = True
    scene.use_nodes = True
    tree = scene.node_tree
    layers = next(n for n in tree.nodes if n.bl_idname == "CompositorNodeRLayers")
    output = tree.nodes.new("CompositorNodeOutputFile")
    output.base_path = str(beside.parent)
    output.format.file_format = "OPEN_EXR"
    output.format.color_depth = "32"
    output.file_slots[0].path = f"{beside.stem}-parts-"
    tree.links.new(layers.outputs["IndexMA"], output.inputs[0])
    return beside.with_name(f"{beside.stem}-parts-{scene.frame_current:04}.exr")


def _write_mask(bpy: Any, numbers: Path, mask: Path) -> None:
    import cv2

    try:
        image = _image(bpy, numbers)
        image.colorspace_settings.name = "Non-Color"
        side = image.size[0]
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        numbers.unlink(missing_ok=True)
    parts = pixels.reshape(side, side, -1)[::-1, :, 0].round().astype(np.uint8)
    cv2.imwrite(str(mask), np.ascontiguousarray(parts))


def _add(bpy: Any, name: str, mesh: Mesh, materials: list[Any]) -> Any:
    data = bpy.data.meshes.new(name)
    faces = [[int(v) for v in face if v >= 0] for face in mesh.faces]
    data.from_pydata(mesh.vertices.tolist(), [], faces)
    uv = np.concatenate([mesh.uv[i, : len(face)] for i, face in enumerate(faces)])
    layer = data.uv_layers.new(name="uv")
    layer.data.foreach_set("uv", uv.astype(np.float32).ravel())
    data.shade_smooth()
    for material in materials:
        data.materials.append(material)
    made = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(made)
    return made


def _image(bpy: Any, path: Path) -> Any:
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
    texture.image = _image(bpy, path)
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


def _skin(bpy: Any, path: Path, person: Person) -> Any:
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


def _cloth(bpy: Any, colour: tuple[float, float, float]) -> Any:
    return _new(bpy, "cloth", Base_Color=(*colour, 1), Roughness=0.9)[0]


def _material(bpy: Any, piece: Piece, person: Person, iris: Path) -> Any:
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
    texture.image = _image(bpy, path)
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


def _vertices(data: Any) -> FloatArray:
    flat = np.empty(3 * len(data.vertices), np.float32)
    data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


def _sight(objects: list[Any], graph: Any, camera: Camera) -> Any:
    """A function that tells which points (k, 3) nothing opaque lies before."""
    from mathutils import Vector
    from mathutils.bvhtree import BVHTree

    trees = [BVHTree.FromObject(o, graph) for o in objects]
    origin = Vector(camera.position.tolist())

    def seen(points: FloatArray) -> FloatArray:
        out = np.ones(len(points), bool)
        for i, point in enumerate(points):
            ray = Vector(point.tolist()) - origin
            for tree in trees:
                *_, distance = tree.ray_cast(origin, ray.normalized())
                if distance is not None and distance < ray.length - HIDDEN_BY:
                    out[i] = False
        return out

    return seen
