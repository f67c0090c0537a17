package collect

import "fmt"

func newQueue(b base, _ string) (feed, error) {
	return nil, fmt.Errorf("%s: not supported yet", b.name)
}
func newGroup(b base, _ string) (feed, error) {
	return nil, fmt.Errorf("%s: not supported yet", b.name)
}
func newHistory(b base, _ string) (feed, error) {
	return nil, fmt.Errorf("%s: not supported yet", b.name)
}
