"""Half an hour under load, and whether anything grows: `pixelis bench soak`."""
