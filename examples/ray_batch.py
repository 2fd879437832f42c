"""The faces of a folder with Ray Data: on this machine, or on a cluster with its address.

python examples/ray_batch.py PHOTOS OUT; needs `pip install asmnet[ray]`. The rows are those of
`asmnet batch`. On a cluster PHOTOS and OUT are on storage that all machines see, and asmnet[ray]
is installed on each. OUT becomes a folder of Parquet files.
"""

import argparse

import ray

from asmnet.ray import DetectFaces
from asmnet.sources import image_files


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", help="folder, list of paths or pattern")
    parser.add_argument("out", help="folder for the Parquet files")
    parser.add_argument("--workers", type=int, default=2, help="processes on the whole cluster")
    parser.add_argument("--address", help="of a cluster; none starts Ray on this machine")
    options = parser.parse_args()
    ray.init(options.address, ignore_reinit_error=True)
    paths = [{"path": path} for path in image_files(options.photos)]
    photos = ray.data.from_items(paths, override_num_blocks=4 * options.workers)
    faces = photos.map_batches(DetectFaces, batch_size=64, concurrency=options.workers)
    faces.write_parquet(options.out)


if __name__ == "__main__":
    main()
