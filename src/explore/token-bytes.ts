/** Bytes of a token: numbers in and out. Varints hold seven bits a byte, the lowest first. */
import { SmplabError } from '#base/errors';

/** Largest number a varint holds here: below what a double counts exactly, above what any schedule needs. */
const VARINT_MAX = 2 ** 42 - 1;
const VARINT_BYTES_MAX = 6;

export class ByteWriter {
  readonly #bytes: number[] = [];

  byte(value: number): void {
    this.#bytes.push(value & 0xff);
  }

  /** 32 bits, the lowest byte first. */
  word(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.byte(value >>> shift);
  }

  /** @param value a whole number in [0, 2^42) */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0 || value > VARINT_MAX) {
      throw new RangeError(`varint: expected a whole number in [0, 2^42), got ${value}`);
    }
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80);
    this.byte(rest);
  }

  written(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Every read past the end, and every number that no writer writes, throws SmplabError SMPLAB_BAD_TOKEN. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw damaged(`expected more than ${this.#bytes.length} bytes`);
    return value;
  }

  word(): number {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }

  varint(): number {
    let value = 0;
    let unit = 1;
    for (let bytes = 0; bytes < VARINT_BYTES_MAX; bytes++) {
      const byte = this.byte();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
      unit *= 0x80;
    }
    throw damaged('expected a number of at most six bytes');
  }

  /** A count of bytes that follow: never more than there are. */
  countOfBytes(): number {
    const count = this.varint();
    if (count > this.left) throw damaged(`expected ${count} bytes more, got ${this.left}`);
    return count;
  }
}

export function damaged(detail: string): SmplabError {
  return new SmplabError('SMPLAB_BAD_TOKEN', `the token is damaged: ${detail}`);
}

const CRC_POLYNOMIAL = 0xedb88320;
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ CRC_POLYNOMIAL;
  return crc;
});

/** CRC-32 as in IEEE 802.3, reflected. `before` is the CRC of the bytes in front of these. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}
