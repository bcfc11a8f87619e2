/**
 * A client's proof that a lease is its own, for the process after a restart,
 * which has none of its connections.
 *
 * The client has the token. The service forgets it once it is sent, and keeps its
 * digest only.
 *
 * @module
 */
import type { Peer } from "../connections/listener.ts";

/** Length of a token before it is text. **Units**: bytes. */
const TOKEN_BYTES = 32;
/** A digest, as text. */
const DIGEST = /^[0-9a-f]{64}$/;

/** Proof by which a lease is claimed after a restart. */
export interface LeaseClaim {
  /** Digest of the token. */
  readonly digest: string;
  /** The client that had the lease: another user does not get it. */
  readonly peer: Peer;
}

/** Makes a token that cannot be guessed, and the claim of `peer` with it. */
export async function newClaim(
  { pid, uid, gid }: Peer,
): Promise<{ token: string; claim: LeaseClaim }> {
  const token = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))
    .toBase64({ alphabet: "base64url", omitPadding: true });
  const claim = { digest: await digestToken(token), peer: { pid, uid, gid } };
  return { token, claim };
}

/** Returns true if `peer` is the user of a claim, and `token` is its token. */
export async function isClaimed(
  { digest, peer: { uid } }: LeaseClaim,
  token: string,
  peer: Peer,
): Promise<boolean> {
  // The time of a comparison of digests says nothing about the token.
  const isToken = await digestToken(token) === digest;
  return isToken && peer.uid === uid;
}

/** Returns the claim that kept data is; undefined if it is none. */
export function readClaim(value: unknown): LeaseClaim | undefined {
  if (!isObject(value) || !isObject(value["peer"])) return undefined;
  const { digest, peer: { pid, uid, gid } } = value;
  if (typeof digest !== "string" || !DIGEST.test(digest)) return undefined;
  return isId(pid) && isId(uid) && isId(gid)
    ? { digest, peer: { pid, uid, gid } }
    : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> & {
  peer: Record<string, unknown>;
} {
  return typeof value === "object" && value !== null;
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

async function digestToken(token: string): Promise<string> {
  const bytes = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(token),
  );
  return new Uint8Array(bytes).toHex();
}

/** Time for a client of an earlier process to take its lease back. **Units**: ms. */
const GRACE_MS = 10_000;

/** Calls `over` after that time; what it returns calls that off. */
export function graceTime(over: () => void): () => void {
  const timer = setTimeout(over, GRACE_MS);
  return () => clearTimeout(timer);
}
