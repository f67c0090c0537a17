package ai

import (
	"fmt"
	"image/color"
	"slices"
	"strings"
)

// rekognition is Amazon Rekognition's operations on images and collections.
func (b *backend) rekognition() map[string]*rule {
	rules := map[string]*rule{
		"CompareFaces":       {serve: b.compareFaces},
		"CreateCollection":   {serve: b.createCollection, resource: "collection/{CollectionId}"},
		"DescribeCollection": {serve: b.describeCollection, resource: "collection/{CollectionId}"},
		"DeleteCollection":   {serve: b.deleteCollection, resource: "collection/{CollectionId}"},
		"ListCollections":    {serve: b.listCollections},
	}
	for name, detect := range map[string]func(c *call, picture content) obj{
		"DetectLabels": detectLabels, "DetectFaces": detectFaces, "DetectText": detectText, "DetectModerationLabels": detectModeration,
	} {
		rules[name] = &rule{serve: func(c *call) (obj, error) {
			picture, err := b.picture(c, "Image")
			if err != nil {
				return nil, err
			}
			return detect(c, picture), nil
		}}
	}
	return rules
}

// largestImage is what Rekognition takes in a request.
const largestImage = 5 << 20

// picture reads and checks an image member.
func (b *backend) picture(c *call, member string) (content, error) {
	picture, ok := b.load(c.Request.Context(), c.in[member])
	switch {
	case !ok:
		return content{}, fail("InvalidS3ObjectException", 400, "Unable to get object metadata from S3. Check object key, region and/or access permissions.")
	case picture.key == "":
		return content{}, fail("InvalidParameterException", 400, "Request has invalid parameters")
	case len(picture.bytes) > largestImage && text(c.in, member, "S3Object", "Bucket") == "":
		return content{}, fail("ImageTooLargeException", 400, "Request image size exceeds the limit.")
	}
	if f := format(picture.bytes); picture.bytes != nil && f != "png" && f != "jpeg" {
		return content{}, fail("InvalidImageFormatException", 400, "Request has invalid image format")
	}
	return picture, nil
}

// things are labels: name, parents, category.
func things() []string {
	return []string{
		"Dog|Animal,Pet|Animals and Pets", "Cat|Animal,Pet|Animals and Pets", "Bird|Animal|Animals and Pets", "Car|Vehicle,Transportation|Vehicles and Automotive",
		"Bicycle|Vehicle,Transportation|Vehicles and Automotive", "Tree|Plant|Plants and Flowers", "Flower|Plant|Plants and Flowers", "Building|Architecture|Buildings and Architecture",
		"City|Urban|Buildings and Architecture", "Beach|Nature,Outdoors|Nature and Outdoors", "Mountain|Nature,Outdoors|Nature and Outdoors", "Sky|Nature,Outdoors|Nature and Outdoors",
		"Person||Person Description", "Chair|Furniture|Furniture and Furnishings", "Table|Furniture|Furniture and Furnishings", "Computer|Electronics|Technology and Computing",
		"Phone|Electronics|Technology and Computing", "Food||Food and Beverage", "Coffee|Beverage|Food and Beverage", "Book|Publication|Text and Documents",
	}
}

func named(names ...string) []any {
	out := []any{}
	for _, n := range names {
		if n != "" {
			out = append(out, obj{"Name": n})
		}
	}
	return out
}

func confidence(c *call, member string, byDefault float64) float64 {
	if v, ok := c.in[member].(float64); ok {
		return v
	}
	return byDefault
}

func detectLabels(c *call, picture content) obj {
	labels := []any{}
	least := confidence(c, "MinConfidence", 55)
	include, exclude := texts(c.in, "Settings", "GeneralLabels", "LabelInclusionFilters"), texts(c.in, "Settings", "GeneralLabels", "LabelExclusionFilters")
	for i, line := range pick(things(), 6, picture.key) {
		f := strings.Split(line, "|")
		sure := between(99-float64(8*i)-4, 99-float64(8*i), picture.key, f[0])
		if sure < least || len(include) > 0 && !slices.Contains(include, f[0]) || slices.Contains(exclude, f[0]) || len(labels) >= whole(c.in, 1000, "MaxLabels") {
			continue
		}
		labels = append(labels, obj{
			"Name": f[0], "Confidence": sure, "Parents": named(strings.Split(f[1], ",")...), "Aliases": []any{}, "Categories": named(f[2]),
			"Instances": []any{obj{"BoundingBox": box(between(0, .5, picture.key, f[0], "x"), between(0, .5, picture.key, f[0], "y"), .3, .4), "Confidence": sure}},
		})
	}
	out := obj{"Labels": labels, "LabelModelVersion": "3.0"}
	if slices.Contains(texts(c.in, "Features"), "IMAGE_PROPERTIES") {
		sum := digest(picture.key)
		shade := color.RGBA{sum[0], sum[1], sum[2], 255}
		out["ImageProperties"] = obj{
			"Quality":        obj{"Brightness": between(40, 95, picture.key, "bright"), "Sharpness": between(40, 95, picture.key, "sharp"), "Contrast": between(40, 95, picture.key, "contrast")},
			"DominantColors": []any{obj{"Red": int(shade.R), "Green": int(shade.G), "Blue": int(shade.B), "HexCode": fmt.Sprintf("#%02x%02x%02x", shade.R, shade.G, shade.B), "PixelPercent": 61.5}},
		}
	}
	return out
}

// face is the one face every picture shows.
func face(picture content) obj {
	return obj{
		"BoundingBox": box(between(.2, .4, picture.key, "x"), between(.1, .3, picture.key, "y"), .25, .35), "Confidence": 99.98,
		"Pose":      obj{"Roll": between(-9, 9, picture.key, "roll"), "Yaw": between(-9, 9, picture.key, "yaw"), "Pitch": between(-9, 9, picture.key, "pitch")},
		"Quality":   obj{"Brightness": between(60, 95, picture.key, "bright"), "Sharpness": between(60, 95, picture.key, "sharp")},
		"Landmarks": []any{obj{"Type": "eyeLeft", "X": .31, "Y": .3}, obj{"Type": "eyeRight", "X": .42, "Y": .3}, obj{"Type": "nose", "X": .36, "Y": .37}},
	}
}

func detectFaces(c *call, picture content) obj {
	details := face(picture)
	if slices.Contains(texts(c.in, "Attributes"), "ALL") {
		age := 20 + int(hash(picture.key, "age")%40)
		yes := func(name string) obj {
			return obj{"Value": hash(picture.key, name)%2 == 0, "Confidence": between(80, 99, picture.key, name)}
		}
		details = with(details, obj{
			"AgeRange": obj{"Low": age, "High": age + 8}, "Smile": yes("smile"), "Eyeglasses": yes("glasses"), "EyesOpen": yes("open"), "MouthOpen": yes("mouth"),
			"Emotions": []any{obj{"Type": pick([]string{"CALM", "HAPPY", "SURPRISED"}, 1, picture.key)[0], "Confidence": 93.1}},
		})
	}
	return obj{"FaceDetails": []any{details}}
}

func detectText(_ *call, picture content) obj {
	detections := []any{}
	lines := picture.seen()
	for i, line := range lines {
		top := .1 + .8*float64(i)/float64(len(lines))
		detections = append(detections, obj{"DetectedText": line, "Type": "LINE", "Id": i, "Confidence": between(95, 99, line), "Geometry": geometry(.1, top, .5, .05)})
	}
	next := len(lines)
	for i, line := range lines {
		for j, word := range strings.Fields(line) {
			detections = append(detections, obj{"DetectedText": word, "Type": "WORD", "Id": next, "ParentId": i, "Confidence": between(95, 99, word),
				"Geometry": geometry(.1+.1*float64(j), .1+.8*float64(i)/float64(len(lines)), .08, .05)})
			next++
		}
	}
	return obj{"TextDetections": detections, "TextModelVersion": "3.0"}
}

func detectModeration(c *call, picture content) obj {
	labels := []any{}
	// One picture in eight shows something.
	if sure := between(60, 99, picture.key, "moderation"); hash(picture.key, "moderated")%8 == 0 && sure >= confidence(c, "MinConfidence", 50) {
		labels = append(labels, obj{"Name": "Alcohol", "Confidence": sure, "ParentName": "", "TaxonomyLevel": 1})
	}
	return obj{"ModerationLabels": labels, "ModerationModelVersion": "7.0", "ContentTypes": []any{}}
}

func (b *backend) compareFaces(c *call) (obj, error) {
	source, err := b.picture(c, "SourceImage")
	if err != nil {
		return nil, err
	}
	target, err := b.picture(c, "TargetImage")
	if err != nil {
		return nil, err
	}
	similarity := between(0, 60, source.key, target.key)
	if source.key == target.key {
		similarity = 99.99
	}
	found := face(target)
	out := obj{"SourceImageFace": keep(face(source), "BoundingBox", "Confidence"), "FaceMatches": []any{}, "UnmatchedFaces": []any{}}
	if similarity >= confidence(c, "SimilarityThreshold", 80) {
		out["FaceMatches"] = []any{obj{"Similarity": similarity, "Face": found}}
	} else {
		out["UnmatchedFaces"] = []any{found}
	}
	return out, nil
}

const faceModel = "7.0"

func noCollection(key string) error {
	return fail("ResourceNotFoundException", 400, "The collection id: %s does not exist", key)
}

func (b *backend) createCollection(c *call) (obj, error) {
	key := text(c.in, "CollectionId")
	r := &resource{ID: key, Name: key, ARN: c.arn("collection/" + key), Tags: tagMap(c.in["Tags"])}
	created, err := b.create(c, collections, r)
	if err == nil && !created {
		err = fail("ResourceAlreadyExistsException", 400, "The collection id: %s already exists", key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"StatusCode": 200, "CollectionArn": fmt.Sprintf("aws:rekognition:%s:%s:collection/%s", c.Region, c.Account, key), "FaceModelVersion": faceModel}, nil
}

func (b *backend) describeCollection(c *call) (obj, error) {
	key := text(c.in, "CollectionId")
	r, err := b.get(c, collections, key)
	if err == nil && r == nil {
		err = noCollection(key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"FaceCount": 0, "UserCount": 0, "FaceModelVersion": faceModel, "CollectionARN": r.ARN, "CreationTimestamp": r.Created}, nil
}

func (b *backend) deleteCollection(c *call) (obj, error) {
	key := text(c.in, "CollectionId")
	found, err := b.remove(c, collections, key)
	if err == nil && !found {
		err = noCollection(key)
	}
	if err != nil {
		return nil, err
	}
	return obj{"StatusCode": 200}, nil
}

func (b *backend) listCollections(c *call) (obj, error) {
	all, err := b.all(c, collections, "")
	if err != nil {
		return nil, err
	}
	items, next := page(c, all, 100, "MaxResults", "NextToken", func(r *resource) string { return r.ID })
	ids, versions := []any{}, []any{}
	for _, r := range items {
		ids, versions = append(ids, r.ID), append(versions, faceModel)
	}
	out := obj{"CollectionIds": ids, "FaceModelVersions": versions}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}
