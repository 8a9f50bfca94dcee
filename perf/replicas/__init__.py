"""What a second replica gives: `pixelis bench replicas`."""
