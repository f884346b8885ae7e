"""What Prometheus reads at /metrics: requests counted by every process, and the state asked at the scrape."""
