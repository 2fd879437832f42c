/**
 * The results: plain objects with the names of Python's `Face.to_dict()`, ready for JSON.
 *
 * @typedef {[number, number, number, number]} Box  x0, y0, x1, y1 in pixels
 * @typedef {[number, number]} Point  x, y in pixels; the first pixel's centre is (0.5, 0.5)
 * @typedef {[[number, number, number], [number, number, number], [number, number, number]]} Rotation
 *
 * @typedef {object} HeadPose
 * @property {number} pitch  degrees; > 0 looks up
 * @property {number} yaw  degrees; > 0 turns the nose to the image's left
 * @property {number} roll  degrees; > 0 tilts clockwise as the viewer sees it
 * @property {Rotation} rotation  head's axes (the subject's left, up, out of the face) to the
 *   camera's (right, up, towards the viewer)
 *
 * @typedef {object} Face
 * @property {Box} bbox  around the points, brows to chin
 * @property {number | null} score  0–1, the chance that it is a face
 * @property {"ibug68"} scheme  the layout of the points
 * @property {Point[]} landmarks  68, in pixels of the source
 * @property {HeadPose} pose
 * @property {number[] | null} confidence  0–1 of each point
 * @property {number | null} presence  0–1, the chance that the box holds a face
 * @property {number | null} track_id  number of the face in its video; null outside of one
 *
 * @typedef {object} Candidate  what may be a face
 * @property {Box} box
 * @property {number} score
 * @property {Point[]} keypoints  right eye, left eye, nose, right and left mouth corner
 *
 * @typedef {object} Pixels  an RGB image
 * @property {Uint8Array} data  width · height · 3 values, row by row
 * @property {number} width
 * @property {number} height
 */
export {};
