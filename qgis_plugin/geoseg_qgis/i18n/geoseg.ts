<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1">
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/labels.py" line="104"/>
        <source>the labels are a picture, not class values; choose a raster of whole numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="111"/>
        <source>the labels have more than {} values, so they are a picture or measurements; choose a raster with one whole number for each class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="121"/>
        <source>the labels have broken numbers; choose a raster with one whole number a class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="125"/>
        <source>the labels have {} value; two at least are needed to tell apart</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/labels.py" line="169"/>
        <source>the field has {} values; choose one with a name or whole number a class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="66"/>
        <source>Bands (BANDS) has {} entries ({}), but {} takes {}: {}; give one for each</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="73"/>
        <source>Bands (BANDS) names band {}, but layer “{}” has {}; give 1 to {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="83"/>
        <source>choose an image that has them, or another model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="86"/>
        <source>say under Bands (BANDS) which they are, in the model&apos;s order, as in {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/models.py" line="88"/>
        <source>{} takes {} bands ({}), but layer “{}” has {} ({}); {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="67"/>
        <source>Classifying</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="68"/>
        <source>Making polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="69"/>
        <source>Training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="70"/>
        <source>Comparing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="71"/>
        <source>Working</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="74"/>
        <source>{:.3g} Mpx/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="76"/>
        <source>step {} of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="77"/>
        <source>loss {:.3g}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="79"/>
        <source>mIoU {:.3f}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="81"/>
        <source>{} left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="87"/>
        <source>{} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="89"/>
        <source>{} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/progress.py" line="90"/>
        <source>{:.1f} h</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="48"/>
        <source>Segment imagery (geoseg)…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="50"/>
        <source>Classify a raster layer with a model, and draw its polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../plugin.py" line="53"/>
        <source>Settings…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="136"/>
        <source>layer “{}” cannot be read; repair its source, or choose another one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="238"/>
        <source>layer “{}” is shown in {}, but its file says {}; the file's is used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="261"/>
        <source>the extent lies outside of layer “{}”; choose one that meets it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="292"/>
        <source>layer “{}” comes from a server and has no pixels of its own; set Extent and Pixel size (in map units), which say what is to be fetched</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="301"/>
        <source>the extent has {} x {} pixels of {:g} map units, and at most {:g} million may be fetched from a server; choose a smaller extent, or pixels of {:.3g} or more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="327"/>
        <source>Exporting {} x {} pixels of layer “{}”</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="341"/>
        <source>cancelled; nothing was written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="343"/>
        <source>error {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="344"/>
        <source>layer “{}” could not be exported ({}); check it, and the free disk space</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="350"/>
        <source>layer “{}” showed nothing in the extent; check the connection, and whether the server has pictures there at this pixel size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../sources.py" line="413"/>
        <source>polygons could not be written to {} ({}); check the free disk space</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../bands.py" line="61"/>
        <source>Choose…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../bands.py" line="70"/>
        <source>Band {}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../catalogue.py" line="57"/>
        <source>geoseg: list of models</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../catalogue.py" line="79"/>
        <source>geoseg: reading a model</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/base.py" line="126"/>
        <source>{} is {}, which another program cannot write; choose a file, or a temporary one (TEMPORARY_OUTPUT)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/base.py" line="173"/>
        <source>cancelled; nothing was written</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/evaluate.py" line="37"/>
        <source>Evaluate map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="41"/>
        <source>Scores a class map against labels: mIoU, accuracy, confusion matrix.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="45"/>
        <source>accuracy,miou,iou,confusion matrix,kappa,validation,truth</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="49"/>
        <source>&lt;p&gt;Compares a class map with labels of the same place, pixel by pixel.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: from &lt;i&gt;Segment raster&lt;/i&gt;, or any raster of class values.&lt;br&gt;&lt;b&gt;Labels&lt;/b&gt;: a raster of the same class values on the same grid. What the labels leave open (no data) is not counted.&lt;br&gt;&lt;b&gt;Model&lt;/b&gt;: where class names are taken from, if the map does not hold them.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;report&lt;/b&gt; with scores of each class, the confusion matrix and a map of differences, shown in the results viewer, and the numbers &lt;b&gt;mIoU&lt;/b&gt; (mean of intersection over union) and &lt;b&gt;overall accuracy&lt;/b&gt;, both from 0 to 1.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="64"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="65"/>
        <source>Labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="66"/>
        <source>Model (for class names)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="67"/>
        <source>Folder of the report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="70"/>
        <source>Report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="71"/>
        <source>mIoU</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="72"/>
        <source>Overall accuracy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="114"/>
        <source>{}: IoU {:.3f}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/evaluate.py" line="115"/>
        <source>mIoU {:.3f}, overall accuracy {:.3f} over {:,} pixels</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../extents.py" line="52"/>
        <source>Whole layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="52"/>
        <source>What the map shows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="52"/>
        <source>A rectangle drawn on the map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="52"/>
        <source>Inside polygons of a layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="60"/>
        <source>Draw…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="61"/>
        <source>Drag a rectangle on the map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="109"/>
        <source>Choose the polygon layer to stay inside of.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="111"/>
        <source>Drag a rectangle on the map with the left mouse button.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../extents.py" line="113"/>
        <source>The chosen area holds nothing of the layer. Choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../dock.py" line="151"/>
        <source>Add a raster layer to the project to begin.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="185"/>
        <source>geoseg: looking at values</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="206"/>
        <source>{} bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="208"/>
        <source>web map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="213"/>
        <source>no CRS</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="223"/>
        <source>About {} pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="253"/>
        <source>Stopping…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="261"/>
        <source>Replace files?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="261"/>
        <source>These files exist already and will be replaced:

{}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="299"/>
        <source>Stopped. Run again to go on from there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="303"/>
        <source>The run failed; see the log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="308"/>
        <source>Copy diagnostics</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="315"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="318"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="322"/>
        <source>Confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="327"/>
        <source>{} is classified.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="333"/>
        <source>Open folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="343"/>
        <source>One more step: set geoseg up. It works in a Python of its own, apart from QGIS.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="352"/>
        <source>Set up…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="354"/>
        <source>Try again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="386"/>
        <source>Side of a pixel, in units of the layer&apos;s CRS, with which it is exported</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="392"/>
        <source>Bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="398"/>
        <source>Run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="405"/>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="408"/>
        <source>Log</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="420"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="421"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="422"/>
        <source>Area</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="423"/>
        <source>Pixel size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="424"/>
        <source>Save as</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../dock.py" line="507"/>
        <source>Starting…</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../provider.py" line="39"/>
        <source>geoseg: semantic segmentation of imagery</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../models.py" line="79"/>
        <source>Model file…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="99"/>
        <source>Choose a model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="99"/>
        <source>Models (*.safetensors *.onnx *.pt2);;All files (*)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="107"/>
        <source>Reading {}…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="131"/>
        <source>less</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="131"/>
        <source>more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="133"/>
        <source>Takes {bands} · {pixels}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="140"/>
        <source>pixels of any size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="143"/>
        <source>pixels of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../models.py" line="144"/>
        <source>pixels of {} to {}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/model_info.py" line="44"/>
        <source>Model information</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="48"/>
        <source>Tells which bands and pixels a model takes, and which classes it gives.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="52"/>
        <source>model,card,bands,classes,licence,metrics,training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="56"/>
        <source>&lt;p&gt;Tells what a model takes, gives and is good for.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Model&lt;/b&gt;: the name of one that comes with geoseg, or a model file (.safetensors).&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;page&lt;/b&gt; with bands, pixel size, values, classes and their colours, training data, scores and licence, shown in the results viewer, and the same as JSON.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="68"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="69"/>
        <source>Page</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="69"/>
        <source>Web page (*.html)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="74"/>
        <source>Model card as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="92"/>
        <source>{} cannot be written ({}); choose another file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="105"/>
        <source>Scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="106"/>
        <source>Training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="115"/>
        <source>Bands</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="117"/>
        <source>{:g} m</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="119"/>
        <source>; takes {:g} to {:g} m, resamples others</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="122"/>
        <source>Pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="124"/>
        <source>mostly {:g} to {:g}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="125"/>
        <source>Values of {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="126"/>
        <source>Windows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_info.py" line="126"/>
        <source>{} pixels</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/model_widget.py" line="52"/>
        <source>Model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/model_widget.py" line="52"/>
        <source>Models (*.safetensors);;All files (*)</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../outputs.py" line="29"/>
        <source>GeoTIFF (*.tif *.tiff)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="30"/>
        <source>Save the class map as</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="33"/>
        <source>Temporary file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="67"/>
        <source>Give the whole path of the class map, or press … to choose it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="69"/>
        <source>The folder {} does not exist. Choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="82"/>
        <source>Temporary results are gone when QGIS closes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../outputs.py" line="86"/>
        <source>Beside it: {}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/polygonize.py" line="43"/>
        <source>Polygonize class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="47"/>
        <source>Makes polygons of the regions of a class map.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="51"/>
        <source>vectorize,polygons,contours,classes,simplify,sieve,buildings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="55"/>
        <source>&lt;p&gt;Makes a polygon of every region of equal class. Neighbours share their boundaries, also when they are simplified: there are no gaps and no overlaps.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: a raster of class values, from &lt;i&gt;Segment raster&lt;/i&gt; or of any other origin. Names and colours are taken from it.&lt;br&gt;&lt;b&gt;Smallest area&lt;/b&gt;: smaller regions go to their neighbours. &lt;b&gt;Simplify&lt;/b&gt;: boundaries may move by so many pixels.&lt;br&gt;&lt;b&gt;Only these classes&lt;/b&gt;: names or values, as in &lt;code&gt;building,road&lt;/code&gt;.&lt;br&gt;&lt;b&gt;Square corners&lt;/b&gt;: for buildings; name their class above. Polygons then do not fit together any more.&lt;br&gt;&lt;b&gt;Confidence&lt;/b&gt;: a raster on the same grid, averaged by polygon.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Polygons&lt;/b&gt; with class_id, class_name, area and perimeter, in the colours of the classes.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="74"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="75"/>
        <source>Band</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="78"/>
        <source>Smallest area of a region (square metres)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="78"/>
        <source>Simplify polygons by at most (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="84"/>
        <source>Only these classes (names or values)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="89"/>
        <source>Confidence, to be averaged by polygon</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="94"/>
        <source>Square corners, for buildings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="99"/>
        <source>Pixels that touch at a corner only: apart (4) or one region (8)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="112"/>
        <source>Polygons of pixels without data, too</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="119"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="124"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/polygonize.py" line="160"/>
        <source>{}: polygons</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../tasks.py" line="121"/>
        <source>The Processing tools of geoseg are not loaded; enable the plugins Processing and geoseg, then restart QGIS.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/segment.py" line="55"/>
        <source>Segment raster</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="59"/>
        <source>Classifies every pixel of an image and makes polygons of the classes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="68"/>
        <source>&lt;p&gt;Classifies every pixel of an image with a trained model. The class map and the polygons come with the model&apos;s colours and class names.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Image&lt;/b&gt;: a raster layer. Layers that only QGIS can read, such as web maps, are exported first; those need an extent and a pixel size.&lt;br&gt;&lt;b&gt;Model&lt;/b&gt;: the name of one that comes with geoseg, or a model file (.safetensors). &lt;i&gt;Model information&lt;/i&gt; tells which bands and pixel sizes it was made for.&lt;br&gt;&lt;b&gt;Bands&lt;/b&gt;: which bands of the image are the model&apos;s, in the model&apos;s order, by number or name: &lt;code&gt;4,3,2&lt;/code&gt;. Empty: matched by name, or taken in order where the image has as many bands as the model and names none.&lt;br&gt;&lt;b&gt;Extent&lt;/b&gt;, &lt;b&gt;Mask polygons&lt;/b&gt;: only there; the rest is no data.&lt;br&gt;&lt;b&gt;Smallest area&lt;/b&gt;: smaller regions go to their neighbours. &lt;b&gt;Simplify&lt;/b&gt;: boundaries of polygons may move by so many pixels.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Class map&lt;/b&gt;: a GeoTIFF of class values. &lt;b&gt;Polygons&lt;/b&gt;: with class_id, class_name, area and perimeter. &lt;b&gt;Confidence&lt;/b&gt;: the probability of the class that was chosen.&lt;/p&gt;&lt;p&gt;A cancelled run goes on from where it was when it is started again with the same settings and the same output file.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="95"/>
        <source>Class map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="96"/>
        <source>Polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="105"/>
        <source>Confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="110"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="113"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="114"/>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="115"/>
        <source>Bands, in the model&apos;s order (such as 4,3,2)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="122"/>
        <source>Extent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="123"/>
        <source>Mask polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="131"/>
        <source>Pixel size of exported layers (map units)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="136"/>
        <source>Smallest area of a region (square metres)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="137"/>
        <source>Simplify polygons by at most (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="147"/>
        <source>Side of a window (pixels; by memory where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="147"/>
        <source>Context around a window (pixels; by the model where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="163"/>
        <source>How windows are joined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="163"/>
        <source>Mean of mirrored (flips) or turned (d4) windows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="174"/>
        <source>Resample to metres a pixel (auto, native or a number)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="174"/>
        <source>Device (auto, cpu, cuda, cuda:0,cuda:1)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="174"/>
        <source>Memory (such as 4GB; half of what is free where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="220"/>
        <source>cancelled; the same run with the same output file goes on from where it was</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="276"/>
        <source>the mask layer “{}” has no polygons, or none is selected; select some, or choose another layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="324"/>
        <source>{}: classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="324"/>
        <source>{}: polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/segment.py" line="324"/>
        <source>{}: confidence</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../algorithms/train.py" line="52"/>
        <source>Train a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="56"/>
        <source>Trains a model from an image layer and a layer of labels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="60"/>
        <source>training,learn,unet,labels,deep learning,supervised</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="64"/>
        <source>&lt;p&gt;Trains a small U-Net that classifies images like the one it was shown. A part of the image is held out: the model never sees it, and is scored on it.&lt;/p&gt;&lt;h3&gt;What it takes&lt;/h3&gt;&lt;p&gt;&lt;b&gt;Image&lt;/b&gt;: a raster layer; all its bands, or those under Bands.&lt;br&gt;&lt;b&gt;Labels&lt;/b&gt;: a raster of class values on the image&apos;s grid, or polygons. Names and colours are those of the layer&apos;s style where it is paletted or categorised.&lt;br&gt;&lt;b&gt;Field&lt;/b&gt;: the polygons&apos; attribute that tells the class. Empty: every polygon is of one class, everything else is background.&lt;br&gt;&lt;b&gt;Steps&lt;/b&gt;: more learn better and take longer. 2000 steps need minutes on a graphics card, and an hour or more without one.&lt;br&gt;&lt;b&gt;Held out&lt;/b&gt;: the share of the image, at its eastern or northern end, that scores are computed on.&lt;/p&gt;&lt;h3&gt;What it gives&lt;/h3&gt;&lt;p&gt;A &lt;b&gt;model file&lt;/b&gt; for &lt;i&gt;Segment raster&lt;/i&gt;, a &lt;b&gt;report&lt;/b&gt; beside it with curves, scores and samples, and the &lt;b&gt;mIoU&lt;/b&gt; on the part that was held out.&lt;/p&gt;&lt;p&gt;A cancelled training goes on when it is started again with &lt;b&gt;Go on&lt;/b&gt; checked and the same model file.&lt;/p&gt;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="88"/>
        <source>Model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="88"/>
        <source>Models (*.safetensors)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="93"/>
        <source>Report</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="94"/>
        <source>mIoU of the held-out part</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="95"/>
        <source>Classes as JSON</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="99"/>
        <source>Image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="100"/>
        <source>Bands by number (such as 1,2,3; all where empty)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="105"/>
        <source>Labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="106"/>
        <source>Field of the polygons&apos; class</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="114"/>
        <source>Where no polygon is, is background</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="123"/>
        <source>Steps</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="126"/>
        <source>Held out for scores (%)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="131"/>
        <source>Side of a window (pixels)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="138"/>
        <source>Windows a step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="145"/>
        <source>Device (auto, cpu, cuda)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="152"/>
        <source>Go on with a training that was stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="177"/>
        <source>the labels cannot be read; choose a raster or polygon layer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="218"/>
        <source>cancelled; start it again with “Go on” and the same model file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="231"/>
        <source>Classes: {}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="260"/>
        <source>layer “{}” of labels has no polygons; draw some first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../algorithms/train.py" line="282"/>
        <source>Bands (BANDS) names {}, but layer “{}” has bands 1 to {}; give numbers</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>geoseg</name>
    <message>
        <location filename="../tuning.py" line="25"/>
        <source>More options</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="26"/>
        <source>Polygons of the classes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="29"/>
        <source>Map of confidence</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="30"/>
        <source>A second raster: how sure the model is of each pixel, from 0 to 1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="34"/>
        <source> m²</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="34"/>
        <source>keep all</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="35"/>
        <source>Smaller regions go to their neighbours, on the map and in the polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="38"/>
        <source> pixels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="38"/>
        <source>off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="40"/>
        <source>Fewer vertices: boundaries may move by as much. 1 takes the steps away</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="43"/>
        <source>by memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="45"/>
        <source>Side of the window that the network sees at once</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="46"/>
        <source>as the model needs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="47"/>
        <source>How far the network looks beyond the pixels it decides</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="48"/>
        <source>Cut sharply (exact)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="48"/>
        <source>Fade over (Hann)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="48"/>
        <source>Average</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="55"/>
        <source>What becomes of windows where they overlap</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="56"/>
        <source>As it is (fastest)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="56"/>
        <source>Mirrored too (4 × slower)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="56"/>
        <source>Mirrored and turned (8 × slower)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="63"/>
        <source>More views of each place make a somewhat better map</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="64"/>
        <source>Automatic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="64"/>
        <source>Processor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="64"/>
        <source>Graphics card (CUDA)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="90"/>
        <source>Simplify polygons</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="91"/>
        <source>Smallest area</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="93"/>
        <source>How the network goes over the image</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="94"/>
        <source>Window</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="95"/>
        <source>Overlap</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="96"/>
        <source>Edges</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="97"/>
        <source>Views</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <location filename="../tuning.py" line="98"/>
        <source>Compute on</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
