"""Files that music servers read well: names, tags, filing. Knows neither HTTP nor SQL."""
