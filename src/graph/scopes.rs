//! Fan-out and fan-in as a property of the graph: which steps open a scope, which close it, and at which depth.
