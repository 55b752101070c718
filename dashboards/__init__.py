"""What people look at: figures, the web UI, reports, Grafana boards."""
