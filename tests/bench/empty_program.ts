/**
 * Does nothing: the floor for start-up times.
 *
 * @module
 */
export {};
