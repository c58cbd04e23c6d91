"""The whole cluster, real code, in virtual time: loop, network, disk, clock, faults, checkers."""
