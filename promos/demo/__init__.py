"""The demo coalition: twenty invented partners over a packaged sample of real purchases."""
