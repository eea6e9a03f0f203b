"""What Prometheus and Grafana need: dashboards made from Python, alert rules, provisioning."""
