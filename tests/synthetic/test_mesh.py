"""Meshes, targets and assets, on tiny files."""

import gzip

import numpy as np
import pytest

from asmnet.datasets.records import LabelError
from asmnet.synthetic.mesh import (
    deformed,
    edges_and_rim,
    normals,
    part,
    read_fit,
    read_obj,
    smoothed,
)

# A square of four and a triangle above it.
OBJ = """# made by the tests
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0.5 2 1
vt 0.25 0.5
vt 0.75 1
g body
f 1/1 2/2 3/1 4/2
g other
f 4 3 5
"""
CLOTHES = """name hat
x_scale 0 1 2.0
y_scale 0 3 1.0
z_scale 0 4 1.0
verts 0
material hat.mhmat
2
0 1 2 0.5 0.5 0.0 0.2 0.1 -0.3
delete_verts
4 - 5
"""


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / "base.obj"
    path.write_text(OBJ)
    return read_obj(path)


def test_a_mesh_has_quads_triangles_groups_and_coordinates(mesh):
    assert mesh.vertices.shape == (5, 3)
    assert mesh.faces.tolist() == [[0, 1, 2, 3], [3, 2, 4, -1]]
    assert mesh.groups.tolist() == ["body", "other"]
    assert mesh.uv[0].tolist() == [[0.25, 0.5], [0.75, 1], [0.25, 0.5], [0.75, 1]]
    assert mesh.uv[1].tolist() == [[0, 0]] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v 0 0 x\n", "line 1: expected a mesh, got 'v 0 0 x'"),
        ("v 0 0 0\nf 1 2\n", "line 2: expected a mesh"),
        ("v 0 0 0\nf 1 2 3\n", "expected a mesh with faces of its own vertices"),
        ("", "expected a mesh with faces"),
    ],
)
def test_broken_meshes_are_named(tmp_path, text, message):
    path = tmp_path / "broken.obj"
    path.write_text(text)
    with pytest.raises(LabelError, match=rf"broken\.obj.*{message}"):
        read_obj(path)


def test_targets_add_up(tmp_path, mesh):
    for name, text in (("a", "# wide\n1 .5 0 0\n2 .5 0 0\n"), ("b", "1 0 0 -1\n")):
        (tmp_path / f"{name}.target.gz").write_bytes(gzip.compress(text.encode()))
    moved = deformed(mesh.vertices, tmp_path, {"a": 2.0, "b": 0.5})
    assert (moved - mesh.vertices).tolist() == [
        [0, 0, 0], [1, 0, -0.5], [1, 0, 0], [0, 0, 0], [0, 0, 0]
    ]  # fmt: skip
    with pytest.raises(LabelError, match=r"none\.target\.gz: cannot be read"):
        deformed(mesh.vertices, tmp_path, {"none": 1.0})
    (tmp_path / "cut.target.gz").write_bytes(gzip.compress(b"1 0 0\n"))
    with pytest.raises(LabelError, match="expected lines of a number and three offsets"):
        deformed(mesh.vertices, tmp_path, {"cut": 1.0})


def test_an_asset_hangs_on_its_vertices_and_grows_with_them(tmp_path, mesh):
    path = tmp_path / "hat.mhclo"
    path.write_text(CLOTHES)
    fit = read_fit(path)
    assert fit.place(mesh.vertices).tolist() == [[1, 1, 0], [0.6, 0.1, -0.3]]
    larger = fit.place(mesh.vertices * [4, 1, 1])
    assert larger == pytest.approx(np.array([[4, 1, 0], [2.4, 0.1, -0.3]]))
    path = tmp_path / "none.mhclo"
    path.write_text("name hat\n")
    with pytest.raises(LabelError, match="expected vertices after a line 'verts'"):
        read_fit(path)


def test_a_part_keeps_its_shape(mesh):
    piece, numbers = part(mesh, mesh.groups == "other")
    assert numbers.tolist() == [2, 3, 4]
    assert piece.faces.tolist() == [[1, 0, 2, -1]]
    assert piece.vertices.tolist() == mesh.vertices[[2, 3, 4]].tolist()


def test_normals_point_to_where_faces_run_counter_clockwise(mesh):
    assert normals(mesh.vertices, mesh.faces)[0].tolist() == [0, 0, 1]


def test_smoothing_flattens_a_bump_and_keeps_the_rim():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    vertices = np.column_stack([grid, np.zeros(25)])
    vertices[12, 2] = 1
    corners = [5 * y + x for y in range(4) for x in range(4)]
    faces = np.array([[c, c + 1, c + 6, c + 5] for c in corners])
    edges, rim = edges_and_rim(faces)
    assert len(edges) == 40
    assert len(rim) == 16
    flat = smoothed(vertices, faces, 10)
    assert 0 < flat[12, 2] < 0.2
    assert flat[rim].tolist() == vertices[rim].tolist()
