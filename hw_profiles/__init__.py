"""Hardware profiles: one gateway model per TOML file, each number with source and verified."""
