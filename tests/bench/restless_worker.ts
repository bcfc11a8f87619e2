/**
 * The reactor Worker of a service in which no peer rests.
 *
 * @module
 */
// First, so that it is in force for all shares.
import "./no_rests.ts";
import "../../src/service/reactor/reactor_worker.ts";
