/**
 * Software bill of materials of an executable, in the format CycloneDX 1.5.
 *
 * **Source**: https://cyclonedx.org/docs/1.5/json/
 *
 * @module
 */

/** Parts of an executable. */
export interface Materials {
  readonly version: string;
  readonly architecture: string;
  /** SHA-256 of the executable, in hexadecimal. */
  readonly sha256: string;
  /** Version of the Deno that is in it. */
  readonly deno: string;
  /** Content of deno.lock. */
  readonly lock: string;
  /** Shared libraries that it needs: `libc.so.6`. */
  readonly libraries: readonly string[];
  /** Version of the C library that it needs at least. */
  readonly glibc: string;
  /** Time of the release: `2026-01-31T00:00:00Z`. */
  readonly time: string;
}

/**
 * Returns the bill as JSON. The same materials give the same text.
 *
 * @throws {Error} If deno.lock has a package without a SHA-512.
 */
export function formatBill(materials: Materials): string {
  const { version, architecture, sha256, deno, libraries, glibc } = materials;
  const own = `pkg:generic/gpioagg@${version}?arch=${architecture}`;
  const components = [
    {
      type: "platform",
      "bom-ref": `pkg:github/denoland/deno@v${deno}`,
      name: "deno",
      version: deno,
      purl: `pkg:github/denoland/deno@v${deno}`,
      licenses: [{ license: { id: "MIT" } }],
      description:
        "runtime in the executable, with V8 and Rust crates of its own",
    },
    ...listPackages(materials.lock),
    ...libraries.map((name) => ({
      type: "library",
      "bom-ref": `pkg:generic/${name}`,
      name,
      scope: "required",
      description:
        `of the host, not in the executable; glibc ${glibc} or newer`,
    })),
  ];
  return JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.5",
      serialNumber: `urn:uuid:${formatUuid(sha256)}`,
      version: 1,
      metadata: {
        timestamp: materials.time,
        component: {
          type: "application",
          "bom-ref": own,
          name: "gpioagg",
          version,
          purl: own,
          licenses: [{ license: { id: "MIT" } }],
          hashes: [{ alg: "SHA-256", content: sha256 }],
        },
      },
      components,
      dependencies: [
        { ref: own, dependsOn: components.map((one) => one["bom-ref"]) },
      ],
    },
    null,
    2,
  ) + "\n";
}

/** Returns the packages of deno.lock. */
function listPackages(lock: string) {
  const { npm = {}, jsr = {} } = JSON.parse(lock) as Record<
    string,
    Record<string, { integrity?: string }> | undefined
  >;
  const from = (kind: string, all: Record<string, { integrity?: string }>) =>
    Object.entries(all).map(([key, { integrity }]) => {
      const at = key.lastIndexOf("@");
      const name = key.slice(0, at);
      const version = key.slice(at + 1);
      const purl = `pkg:${kind}/${name.replace("@", "%40")}@${version}`;
      return {
        type: "library",
        "bom-ref": purl,
        name,
        version,
        purl,
        hashes: [decodeHash(key, integrity)],
      };
    });
  return [...from("npm", npm), ...from("jsr", jsr)];
}

function decodeHash(
  name: string,
  integrity = "",
): { alg: string; content: string } {
  const base64 = /^sha512-([\w+/]+=*)$/.exec(integrity)?.[1];
  if (base64 !== undefined) {
    return { alg: "SHA-512", content: hex(fromBase64(base64)) };
  }
  if (/^[0-9a-f]{64}$/.test(integrity)) {
    return { alg: "SHA-256", content: integrity };
  }
  throw new Error(`deno.lock has no checksum of ${name}`);
}

/** Returns a UUID (version 8: of the maker's own kind) made of a checksum. */
function formatUuid(sha256: string): string {
  const digits = `${sha256.slice(0, 12)}8${sha256.slice(13, 16)}` +
    `a${sha256.slice(17, 32)}`;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Returns bytes in hexadecimal. */
export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
