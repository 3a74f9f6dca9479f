/** Flags of an allocation. @linux include/linux/gfp.h, as of 2.6.24. Leaves out: zones other than highmem, reclaim hints. */

export const __GFP_HIGHMEM = 0x02;
/** The caller may sleep. */
export const __GFP_WAIT = 0x10;
export const __GFP_HIGH = 0x20;
export const __GFP_IO = 0x40;
export const __GFP_FS = 0x80;
/** A failure is expected: do not log it. */
export const __GFP_NOWARN = 0x200;
/** Tail pages remember their head. */
export const __GFP_COMP = 0x4000;
export const __GFP_ZERO = 0x8000;

export const GFP_ATOMIC = __GFP_HIGH;
export const GFP_KERNEL = __GFP_WAIT | __GFP_IO | __GFP_FS;
export const GFP_HIGHUSER = GFP_KERNEL | __GFP_HIGHMEM;
