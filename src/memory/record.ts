/** A record that is put together in one piece and stored as one operation: log lines, reports, a fresh slab. */
const encoder = new TextEncoder();

export class ByteRecord {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** @param fill what every byte starts as */
  constructor(size: number, fill = 0) {
    this.bytes = new Uint8Array(size).fill(fill);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Over bytes that were loaded as one operation. */
  static of(bytes: Uint8Array): ByteRecord {
    const record = new ByteRecord(bytes.length);
    record.bytes.set(bytes);
    return record;
  }

  /** UTF-8 bytes of a text. */
  static encode(text: string): Uint8Array {
    return encoder.encode(text);
  }

  setU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }

  getU32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }

  fill(byte: number, from: number, to: number): void {
    this.bytes.fill(byte, from, to);
  }

  /** As much of the text as fits; answers the bytes written. */
  setText(offset: number, text: string): number {
    return encoder.encodeInto(text, this.bytes.subarray(offset)).written;
  }
}
