"""The DNS of a sending domain: what it should publish, what it does publish, what follows."""
