/** Overlays: box, contours, points and pose axes, as asmnet/draw.py draws them. */

/** @import { Face, Point } from "./types.js" */

import { longerSide, mean } from "./geometry.js";
import { OUTLINES } from "./schemes.js";

const BOX = "rgb(70 160 255)";
const CONTOUR = "white";
const POINT = "rgb(0 230 120)";
// The subject's left, up, out of the face.
const AXES = ["rgb(235 60 60)", "rgb(60 200 60)", "rgb(70 110 255)"];

/**
 * @typedef {object} Layers  what to draw; all but confidence unless given
 * @property {boolean} [box]
 * @property {boolean} [points]
 * @property {boolean} [axes]
 * @property {boolean} [confidence]  points from red (0) to green (1)
 */

/**
 * Draws faces over their picture.
 *
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context  whose
 *   coordinates are the picture's pixels
 * @param {Face[]} faces
 * @param {Layers} [layers]
 */
export function drawFaces(context, faces, layers = {}) {
  const { box = true, points = true, axes = true, confidence = false } = layers;
  context.save();
  context.lineCap = context.lineJoin = "round";
  for (const face of faces) {
    const size = longerSide(face.bbox);
    const width = Math.max(1, size / 150);
    const [x0, y0, x1, y1] = face.bbox;
    if (box) {
      context.strokeStyle = BOX;
      context.lineWidth = width;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    if (points) drawPoints(context, face, size, confidence);
    if (face.track_id !== null) {
      const height = Math.max(14, size / 9);
      context.font = `${height}px sans-serif`;
      context.lineWidth = height / 5;
      context.strokeStyle = "black";
      context.fillStyle = CONTOUR;
      const text = String(face.track_id);
      context.strokeText(text, x1 + 2 * width, y0 + height);
      context.fillText(text, x1 + 2 * width, y0 + height);
    }
    if (axes) {
      const origin = mean(face.landmarks);
      context.lineWidth = 2 * width;
      AXES.forEach((colour, k) => {
        const [right, up] = [face.pose.rotation[0][k], face.pose.rotation[1][k]];
        context.strokeStyle = colour;
        line(context, [origin, [origin[0] + (right * size) / 2, origin[1] - (up * size) / 2]]);
      });
    }
  }
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {Face} face
 * @param {number} size
 * @param {boolean} confidence
 */
function drawPoints(context, face, size, confidence) {
  context.strokeStyle = CONTOUR;
  context.lineWidth = Math.max(1, size / 300);
  for (const outline of OUTLINES) line(context, outline.map((i) => face.landmarks[i]));
  const radius = Math.max(1, size / 110);
  face.landmarks.forEach(([x, y], i) => {
    const sure = face.confidence?.[i];
    context.fillStyle = confidence && sure !== undefined ? `hsl(${140 * sure} 100% 50%)` : POINT;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  });
}

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {Point[]} points
 */
function line(context, points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}
