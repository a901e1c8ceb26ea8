"""Inject faults into a running platform and check that nothing was lost or doubled."""
