"""Who hears what: log, views, groups and cursors. No I/O, no clock, no event loop."""
