package iam

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// iamOperations are IAM's operations.
func iamOperations() map[string]operation {
	ops := map[string]operation{
		"CreateUser":   {false, "user", (*Store).createUser},
		"GetUser":      {true, "user", (*Store).getUser},
		"ListUsers":    {true, "users", (*Store).listUsers},
		"DeleteUser":   {false, "user", (*Store).deleteUser},
		"TagUser":      {false, "user", (*Store).tagUser},
		"UntagUser":    {false, "user", (*Store).untagUser},
		"ListUserTags": {true, "user", (*Store).listUserTags},

		"ListGroupsForUser": {true, "user", (*Store).listGroupsForUser},
	}
	for _, more := range []map[string]operation{roleOperations(), policyOperations(), keyOperations()} {
		for name, op := range more {
			ops[name] = op
		}
	}
	return ops
}

// userFields is a user as IAM shows it.
func (s *Store) userFields(u *entity) fields {
	return fields{{"Path", u.Path}, {"UserName", u.Name}, {"UserId", u.ID}, {"Arn", s.userARN(u)}, {"CreateDate", u.Created}}
}

// user returns a user that must exist; "" is the caller. Callers hold s.mu.
func (s *Store) user(q *query, name string) (*entity, error) {
	if name == "" {
		if q.Caller.Kind != awsapi.User {
			return nil, validation("Must specify userName when calling with non-User credentials")
		}
		name = q.Caller.UserName
	}
	if u := find(s.users, name); u != nil {
		return u, nil
	}
	return nil, noSuch("The user with name %s cannot be found.", name)
}

func (s *Store) createUser(q *query) (fields, error) {
	name, err := q.needName("UserName", 64)
	if err != nil {
		return nil, err
	}
	path, err := q.path()
	if err != nil {
		return nil, err
	}
	tags, err := q.tags()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if find(s.users, name) != nil {
		return nil, conflict("EntityAlreadyExists", "User with name %s already exists.", name)
	}
	u := &entity{Name: name, Path: path, ID: newID("AIDA"), Created: q.Time.Truncate(time.Second), Tags: tags}
	if err := s.putUser(u); err != nil {
		return nil, err
	}
	return fields{{"User", append(s.userFields(u), field{"Tags", tagList(u.Tags)})}}, nil
}

func (s *Store) getUser(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q.get("UserName") == "" && q.Caller.Kind == awsapi.Root {
		return fields{{"User", fields{{"Path", "/"}, {"UserId", s.account}, {"Arn", "arn:aws:iam::" + s.account + ":root"}, {"CreateDate", s.root.Created}}}}, nil
	}
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	return fields{{"User", append(s.userFields(u), field{"Tags", tagList(u.Tags)})}}, nil
}

// named returns the names of entities below a path.
func named(entities map[string]*entity, prefix string) []string {
	var names []string
	for name, e := range entities {
		if strings.HasPrefix(e.Path, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func (s *Store) listUsers(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names, more, err := page(q.v, named(s.users, q.get("PathPrefix")))
	l := list{}
	for _, n := range names {
		l = append(l, s.userFields(s.users[n]))
	}
	return append(fields{{"Users", l}}, more...), err
}

func (s *Store) deleteUser(q *query) (fields, error) {
	name, err := q.need("UserName")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(q, name)
	if err != nil {
		return nil, err
	}
	switch {
	case len(u.Attached) > 0:
		return nil, conflict("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(u.Inline) > 0:
		return nil, conflict("DeleteConflict", "Cannot delete entity, must delete policies first.")
	case len(s.keysOf(u)) > 0:
		return nil, conflict("DeleteConflict", "Cannot delete entity, must delete access keys first.")
	case len(s.credentialsOf(u.Name)) > 0:
		return nil, conflict("DeleteConflict", "Cannot delete entity, must remove referenced objects first.")
	}
	return nil, s.change(func(tx *state.Tx) error { return tx.Delete(bucketUsers, u.Name) }, func() { delete(s.users, u.Name) })
}

func (s *Store) tagUser(q *query) (fields, error) {
	return nil, s.changeUser(q, func(u *entity) error { return tagEntity(q, u) })
}

func (s *Store) untagUser(q *query) (fields, error) {
	return nil, s.changeUser(q, func(u *entity) error { return untagEntity(q, u) })
}

func tagEntity(q *query, e *entity) error {
	tags, err := q.tags()
	e.setTags(tags)
	if err == nil && len(e.Tags) > 50 {
		err = conflict("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	return err
}

func untagEntity(q *query, e *entity) error {
	keys := members(q.v, "TagKeys", "")
	e.Tags = slices.DeleteFunc(e.Tags, func(t tag) bool { return slices.Contains(keys, t.Key) })
	return nil
}

func (s *Store) listUserTags(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u, err := s.user(q, q.get("UserName"))
	if err != nil {
		return nil, err
	}
	return listTags(q.v, u.Tags)
}

func listTags(v url.Values, tags []tag) (fields, error) {
	byKey := map[string]tag{}
	var keys []string
	for _, t := range tags {
		byKey[t.Key] = t
		keys = append(keys, t.Key)
	}
	keys, more, err := page(v, keys)
	l := list{}
	for _, k := range keys {
		l = append(l, fields{{"Key", k}, {"Value", byKey[k].Value}})
	}
	return append(fields{{"Tags", l}}, more...), err
}

func (s *Store) listGroupsForUser(q *query) (fields, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.user(q, q.get("UserName")); err != nil {
		return nil, err
	}
	return fields{{"Groups", list{}}, {"IsTruncated", false}}, nil
}

// changeUser stores a changed copy of the user that a call names.
func (s *Store) changeUser(q *query, change func(u *entity) error) error {
	name, err := q.need("UserName")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.user(q, name)
	if err != nil {
		return err
	}
	u = u.copy()
	if err := change(u); err != nil {
		return err
	}
	return s.putUser(u)
}
