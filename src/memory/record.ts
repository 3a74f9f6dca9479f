/** A record that is put together in one piece and stored as one operation: log lines, reports, a fresh slab. */
const encoder = new TextEncoder();

export class ByteRecord {
  readonly bytes: Uint8Array;

  /**
   * @param of how many bytes, or which
   * @param fill what every byte starts as
   */
  constructor(of: number | Uint8Array, fill = 0) {
    if (typeof of === 'number') {
      this.bytes = new Uint8Array(of);
      if (fill !== 0) this.bytes.fill(fill);
    } else this.bytes = of;
  }

  /** Over bytes that were loaded as one operation, and are nobody else's. */
  static of(bytes: Uint8Array): ByteRecord {
    return new ByteRecord(bytes);
  }

  /** UTF-8 bytes of a text. */
  static encode(text: string): Uint8Array {
    return encoder.encode(text);
  }

  setU32(offset: number, value: number): void {
    const { bytes } = this;
    bytes[offset] = value;
    bytes[offset + 1] = value >>> 8;
    bytes[offset + 2] = value >>> 16;
    bytes[offset + 3] = value >>> 24;
  }

  getU32(offset: number): number {
    const { bytes } = this;
    return (
      (bytes[offset]! |
        (bytes[offset + 1]! << 8) |
        (bytes[offset + 2]! << 16) |
        (bytes[offset + 3]! << 24)) >>>
      0
    );
  }

  fill(byte: number, from: number, to: number): void {
    this.bytes.fill(byte, from, to);
  }

  /** As much of the text as fits; answers the bytes written. */
  setText(offset: number, text: string): number {
    return encoder.encodeInto(text, this.bytes.subarray(offset)).written;
  }
}
