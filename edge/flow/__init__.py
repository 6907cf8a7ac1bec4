"""The asyncio half: one supervisor per link, one engine, one dispatcher."""
