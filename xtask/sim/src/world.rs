//! Nodes, links, faults.
