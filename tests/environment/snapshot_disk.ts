/**
 * A disk for a guest's snapshots (`savevm`), without the tool that makes one.
 *
 * **Source**: QEMU, `docs/interop/qcow2.rst`.
 *
 * @module
 */

const CLUSTER = 65_536;
/** Clusters of a new image: header, refcount table, refcounts, L1 table. */
const CLUSTERS = 4;
const SIZE = 1024 * 1024;

/** Writes an empty qcow2 image, version 2, to a file that grows as it is used. */
export async function writeSnapshotDisk(path: string): Promise<void> {
  const bytes = new Uint8Array(CLUSTERS * CLUSTER);
  const view = new DataView(bytes.buffer);
  const header: readonly [offset: number, value: number][] = [
    [0, 0x514649fb],
    [4, 2],
    [20, 16], // bits of a cluster
    [28, SIZE],
    [36, 1], // entries of the L1 table
    [44, 3 * CLUSTER],
    [52, CLUSTER],
    [56, 1], // clusters of the refcount table
  ];
  for (const [offset, value] of header) view.setUint32(offset, value);
  // The first entry of the refcount table, and the clusters in use.
  view.setUint32(CLUSTER + 4, 2 * CLUSTER);
  for (let i = 0; i < CLUSTERS; i++) view.setUint16(2 * CLUSTER + 2 * i, 1);
  await Deno.writeFile(path, bytes);
}

/** Arguments of QEMU for such a disk, which the guest does not see. */
export function snapshotDisk(path: string): string[] {
  return ["-drive", `if=none,id=snapshots,format=qcow2,file=${path}`];
}
