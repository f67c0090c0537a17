package query

import (
	"slices"
	"strings"
)

// nearestOf returns the names, up to three, that differ least from a mistyped one; nil if none is near.
func nearestOf(mistyped string, names []string) []string {
	type near struct {
		name     string
		distance int
	}
	var found []near
	want := fold(mistyped)
	for _, name := range names {
		have := fold(name)
		d := distance(want, have)
		if len(want) >= 3 && (strings.Contains(have, want) || strings.Contains(want, have) && len(have) >= 3) {
			d = min(d, 2)
		}
		if d <= max(1, len(want)/3) || d <= 2 && len(want) >= 3 {
			found = append(found, near{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.distance - b.distance })
	var nearest []string
	for _, n := range found {
		if n.distance == found[0].distance && len(nearest) < 3 && !slices.Contains(nearest, n.name) {
			nearest = append(nearest, n.name)
		}
	}
	return nearest
}

// fold makes names comparable that differ in case and underscores only: awsRegion and aws_region.
func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "_", "")
}

// distance counts the bytes to insert, delete, change or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
