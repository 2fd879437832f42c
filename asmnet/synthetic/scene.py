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
from asmnet.synthetic.head import Head
from asmnet.synthetic.identity import Person
from asmnet.synthetic.labels import Camera
from asmnet.synthetic.materials import (
    cloth_material,
    load_picture,
    piece_material,
    skin_material,
)
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
    body = _add(
        bpy,
        "skin",
        head.skin,
        [skin_material(bpy, skin, person), cloth_material(bpy, person.cloth)],
    )
    body.data.polygons.foreach_set("material_index", head.collar.astype(np.int32))
    attribute = body.data.attributes.new("beard", "FLOAT", "POINT")
    attribute.data.foreach_set("value", head.beard.astype(np.float32))
    body.modifiers.new("smooth", "SUBSURF").render_levels = 1
    body.modifiers["smooth"].levels = 1
    opaque = [body]
    for piece in head.pieces:
        made = _add(bpy, piece.name, piece.mesh, [piece_material(bpy, piece, person, iris)])
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
    texture.image = load_picture(bpy, environment)
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
        image = load_picture(bpy, numbers)
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
