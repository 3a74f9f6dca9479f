/**
 * The first import of every entry point. What a bundle evaluates first decides the kernel image's addresses, and CPU
 * threads compare: a host that linked in another order could not start one.
 */
import '#kernel/image';
