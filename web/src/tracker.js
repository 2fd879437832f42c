/**
 * The faces of a video, each with a number: the essentials of asmnet/tracking/tracker.py.
 *
 * Left out are shots, the camera's motion, and the search that is spread over frames: here one
 * frame bears all of it.
 */

/** @import { Box, Face, Pixels, Point } from "./types.js" */
/** @import { FaceDetector } from "./detector.js" */
/** @import { FaceLandmarker } from "./landmarker.js" */

import { withLandmarks } from "./analyzer.js";
import { InvalidInputError } from "./errors.js";
import { boxIou, longerSide, matchGreedily, mean, pointsBox, poseOf } from "./geometry.js";
import { single } from "./landmarker.js";
import { PointsFilter, RotationFilter, smoothingFactor } from "./one_euro.js";
import { keypointsOf } from "./schemes.js";

/** The detector's finest pass: videos are to be quick. */
export const INPUT_SIZE = 640;

// Presence that a new face needs, and a followed one; of faces below the side less.
const NEW_PRESENCE = 0.5;
const MIN_PRESENCE = 0.3;
const FULL_PRESENCE_SIDE = 28;
// Scores that confirm a followed face, begin one without presence, and follow one without.
const CONFIRMING_SCORE = 0.3;
const SURE_SCORE = 0.85;
const FOLLOWING_SCORE = 0.7;
const SAME_FACE_IOU = 0.3;
// Points that overlap less with where they were expected have jumped elsewhere.
const MIN_TRACK_IOU = 0.3;
const COLLAPSED_IOU = 0.5;
// A lost face is found again within so many of its sizes, and more for each second, and pixels.
const GATE = 1;
const GATE_PER_SECOND = 1;
const MAX_GATE = 2.5;
const SHAKE = 24;
const MAX_SIZE_RATIO = 2;
const VELOCITY_CUTOFF = 3; // Hz
const SLOWING = 0.5; // seconds
const MIN_STEP = 1e-6; // seconds
const MIN_SIDE = 4; // pixels
const DETECT_EVERY = 30; // frames
const KEEP_LOST = 3; // seconds

/** Follows the faces of one video; make one for each. */
export class FaceTracker {
  #detector;
  #landmarker;
  #minScore;
  #maxFaces;
  #nextId = 0;
  #time = -Infinity;
  #untilDetection = 0;
  /** @type {Track[]} */
  #followed = [];
  /** @type {Track[]} */
  #lost = [];

  /**
   * @param {FaceDetector} detector
   * @param {FaceLandmarker} landmarker
   * @param {{minScore: number, maxFaces: number}} options
   */
  constructor(detector, landmarker, { minScore, maxFaces }) {
    this.#detector = detector;
    this.#landmarker = landmarker;
    this.#minScore = minScore;
    this.#maxFaces = maxFaces;
  }

  /**
   * The faces of the next frame, by their numbers.
   *
   * @param {Pixels} pixels
   * @param {number} timestamp  seconds, more than the last frame's
   * @returns {Promise<Face[]>}
   */
  async update(pixels, timestamp) {
    if (!(Number.isFinite(timestamp) && timestamp > this.#time)) {
      throw new InvalidInputError(
        `timestamp: expected finite seconds above ${this.#time}, got ${timestamp}`,
      );
    }
    const step = Math.max(timestamp - this.#time, MIN_STEP);
    this.#time = timestamp;
    await this.#follow(pixels, step);
    this.#lost = this.#lost.filter((track) => timestamp - track.seen <= KEEP_LOST);
    if (this.#lost.length || !this.#followed.length || this.#untilDetection <= 0) {
      this.#untilDetection = DETECT_EVERY;
      await this.#detect(pixels);
    }
    this.#untilDetection -= 1;
    this.#followed.sort((a, b) => a.id - b.id);
    return this.#followed.map((track) => track.face);
  }

  /**
   * Places the points of the followed faces anew; those that are not there are lost.
   *
   * @param {Pixels} pixels
   * @param {number} step
   */
  async #follow(pixels, step) {
    const tracks = this.#followed;
    const places = tracks.map((track) => track.expected(step));
    const faces = (await this.#landmarker.predict(pixels, places)).map(withPointsBox);
    const poor = faces.flatMap((face, i) => (isPresent(face, MIN_PRESENCE) ? [] : [i]));
    // Points of a profile show little of a face: there the verifier tells, and draws the box.
    const looks = await this.#detector.verify(pixels, poor.map((i) => places[i].box));
    const verified = new Map(poor.map((i, k) => [i, looks[k]]));
    /** @type {Track[]} */
    const gone = [];
    tracks.forEach((track, i) => {
      const look = verified.get(i);
      const face = look === undefined ? faces[i] : { ...faces[i], bbox: look.box };
      const there = look === undefined || look.score >= FOLLOWING_SCORE;
      const iou = boxIou(places[i].box, face.bbox);
      if (there && isInside(face, pixels) && iou > MIN_TRACK_IOU) {
        track.move(face, step, this.#time, look === undefined);
        track.iou = iou;
      } else {
        gone.push(track);
      }
    });
    this.#lose(gone);
    this.#lose(this.#collapsed());
  }

  /** Of followed faces that have become one, those of lower track IoU. */
  #collapsed() {
    const tracks = [...this.#followed].sort((a, b) => b.iou - a.iou);
    return tracks.filter((track, i) =>
      tracks.slice(0, i).some((o) => boxIou(o.face.bbox, track.face.bbox) > COLLAPSED_IOU),
    );
  }

  /** @param {Track[]} tracks */
  #lose(tracks) {
    this.#followed = this.#followed.filter((track) => !tracks.includes(track));
    this.#lost.push(...tracks);
  }

  /**
   * Confirms followed faces, finds lost ones, begins new ones.
   *
   * @param {Pixels} pixels
   */
  async #detect(pixels) {
    const found = await this.#detector.detect(pixels, Math.min(CONFIRMING_SCORE, this.#minScore));
    const overlaps = this.#followed.map((t) => found.map((d) => boxIou(t.face.bbox, d.box)));
    const confirmed = matchGreedily(overlaps, SAME_FACE_IOU);
    for (const [i, j] of confirmed) this.#followed[i].score = found[j].score;
    this.#lose(this.#followed.filter((t, i) => !confirmed.has(i) && !tellsPresence(t.face)));
    const known = new Set(confirmed.values());
    const others = found.filter((d, j) => !known.has(j) && d.score >= this.#minScore);
    const faces = (await withLandmarks(others, this.#landmarker, pixels))
      .map((face) => (isPresent(face, NEW_PRESENCE) ? withPointsBox(face) : face))
      .filter(
        (face) =>
          isInside(face, pixels) &&
          (isPresent(face, NEW_PRESENCE) || (face.score ?? 0) >= SURE_SCORE) &&
          // A detection beside a followed face may turn out to be the same one.
          !this.#followed.some((t) => boxIou(face.bbox, t.face.bbox) > COLLAPSED_IOU),
      );
    this.#begin(faces);
  }

  /**
   * Follows found faces: lost ones by their old numbers, and new ones, best score first.
   *
   * @param {Face[]} faces
   */
  #begin(faces) {
    const lost = [...this.#lost];
    const owners = matchGreedily(
      faces.map((face) => lost.map((track) => track.affinity(face, this.#time))), 0,
    );
    const order = [...faces.keys()].sort((a, b) => Number(!owners.has(a)) - Number(!owners.has(b)));
    for (const i of order) {
      if (this.#followed.length >= this.#maxFaces) break;
      const owner = owners.get(i);
      const track = owner === undefined ? new Track(this.#nextId++) : lost[owner];
      this.#lost = this.#lost.filter((other) => other !== track);
      track.start(faces[i], this.#time);
      this.#followed.push(track);
    }
  }
}

/** A face with a number: followed, or lost since it was last seen. */
class Track {
  #points = new PointsFilter();
  #rotation = new RotationFilter();
  /** @type {Point} pixels a second */
  #velocity = [0, 0];
  /** @type {Face} */
  face = /** @type {any} */ (undefined); // `start` gives it
  /** Of the detection that found or confirmed it last. */
  score = 0;
  /** When it was seen last, in seconds. */
  seen = 0;
  /** Of the box of its points with where they were expected, the track IoU. */
  iou = 1;

  /** @param {number} id */
  constructor(id) {
    this.id = id;
  }

  /**
   * Begins to follow a face that the detector has found; nothing of before counts.
   *
   * @param {Face} face
   * @param {number} time
   */
  start(face, time) {
    this.#points = new PointsFilter();
    this.#rotation = new RotationFilter();
    this.#velocity = [0, 0];
    this.score = face.score ?? 0;
    this.seen = time;
    this.iou = 1;
    this.face = this.#smoothed(face, 1, isPresent(face, NEW_PRESENCE));
  }

  /**
   * Takes the face of the next frame.
   *
   * @param {Face} face
   * @param {number} step  seconds since the last
   * @param {number} time
   * @param {boolean} byPoints  whether its box is that of its points
   */
  move(face, step, time, byPoints) {
    const before = mean(this.face.landmarks);
    this.face = this.#smoothed(face, step, byPoints);
    const after = mean(this.face.landmarks);
    const share = smoothingFactor(VELOCITY_CUTOFF, step);
    this.#velocity = /** @type {Point} */ (
      this.#velocity.map((v, k) => v + share * ((after[k] - before[k]) / step - v))
    );
    this.seen = time;
  }

  /** @param {Face} face @param {number} step @param {boolean} byPoints @returns {Face} */
  #smoothed(face, step, byPoints) {
    const landmarks = this.#points.next(face.landmarks, step, face.confidence).map(single);
    return {
      ...face,
      bbox: byPoints ? pointsBox(landmarks) : single(face.bbox),
      score: this.score,
      landmarks,
      pose: poseOf(this.#rotation.next(face.pose.rotation, step)),
      track_id: this.id,
    };
  }

  /** @param {number} seconds @returns {Point} pixels by which it goes on: no face keeps its speed */
  #shift(seconds) {
    const factor = SLOWING * (1 - Math.exp(-seconds / SLOWING));
    return [this.#velocity[0] * factor, this.#velocity[1] * factor];
  }

  /**
   * Where it should be by now.
   *
   * @param {number} step
   */
  expected(step) {
    const shift = this.#shift(step);
    return {
      box: /** @type {Box} */ (this.face.bbox.map((v, k) => v + shift[k % 2])),
      keypoints: keypointsOf(this.face.landmarks).map(
        ([x, y]) => /** @type {Point} */ ([x + shift[0], y + shift[1]]),
      ),
    };
  }

  /**
   * 1 where the lost face is expected, 0 beyond the gating distance or at another size.
   *
   * @param {Face} face
   * @param {number} time
   */
  affinity(face, time) {
    const away = time - this.seen;
    const [size, other] = [longerSide(this.face.bbox), longerSide(face.bbox)];
    if (Math.max(size, other) > MAX_SIZE_RATIO * Math.min(size, other)) return 0;
    const gate = (size + SHAKE) * Math.min(GATE + GATE_PER_SECOND * away, MAX_GATE);
    const [from, to, shift] = [mean(this.face.landmarks), mean(face.landmarks), this.#shift(away)];
    const distance = Math.hypot(to[0] - from[0] - shift[0], to[1] - from[1] - shift[1]);
    return Math.max(0, 1 - distance / gate);
  }
}

/** @param {Face} face @returns {Face} */
const withPointsBox = (face) => ({ ...face, bbox: pointsBox(face.landmarks) });

/** @param {Face} face @param {Pixels} pixels */
function isInside(face, { width, height }) {
  const [x, y] = mean(face.landmarks);
  return x >= 0 && x <= width && y >= 0 && y <= height && longerSide(face.bbox) >= MIN_SIDE;
}

/** @param {Face} face @param {number} minPresence */
function isPresent(face, minPresence) {
  const part = Math.min(longerSide(face.bbox) / FULL_PRESENCE_SIDE, 1);
  return face.presence === null || face.presence >= minPresence * part ** 2;
}

/** @param {Face} face */
const tellsPresence = (face) =>
  face.presence !== null && longerSide(face.bbox) >= FULL_PRESENCE_SIDE;
