/** What goes wrong, by kind; each message says what was expected and what came. */

/** Of all errors of this library. */
export class AsmnetError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or a value out of its range. */
export class InvalidInputError extends AsmnetError {}

/** An image that cannot be used. */
export class ImageError extends AsmnetError {}

/** Weights that are missing, damaged or of another kind. */
export class WeightsError extends AsmnetError {}

/** The errors by their names: a worker's messages carry no classes. */
export const ERRORS = { AsmnetError, InvalidInputError, ImageError, WeightsError };

/**
 * @param {unknown} error
 * @returns {string} its words
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
