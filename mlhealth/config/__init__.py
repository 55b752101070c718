"""`mlhealth.yaml`, read once and strictly: one file per block of it."""
