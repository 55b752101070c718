"""Wire formats of serving systems, one file each; `base.formats()` finds them."""
