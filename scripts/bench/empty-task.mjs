/** An empty task for the pool comparison, and an empty synchronous one. */
export default function emptyTask() {}
